"""The committed quickstart, searched: `python -m experiments.adaptive_search.quickstart`.

Trains nothing: the loss of a learning rate between those of the grid is that of a cubic spline
through its seed's log losses at the width. Prints, for each seed of the search, how many of the
grid's trials it takes, and what the verdict is then.
"""

import dataclasses
import math
import pathlib
from collections.abc import Sequence

from scipy.interpolate import CubicSpline

from transfer.analysis import SweepVerdict
from transfer.report import Report
from transfer.run_directory import RunDirectory, TrialResult
from transfer.scaling import Recipe
from transfer.sweeps.search.box import Box
from transfer.sweeps.search.decision import Search, Stopped
from transfer.sweeps.search.prior import prior_of
from transfer.sweeps.search.surrogate import Observations

HERE = pathlib.Path(__file__).parent
WIDTHS, TARGET, SEEDS = (16, 32, 64), 128, (0, 1, 2)
BOX = Box(("learning_rate",), (-8.0,), (-3.0,))
POPULATION, TOLERANCE, TRIALS = 2, 0.01, 24
SEARCHES = 5


def searched(committed: Sequence[TrialResult], recipe: str, seed: int) -> list[TrialResult]:
    """The trials of a search under a recipe."""
    prior = prior_of(Recipe(recipe), "entrywise", BOX.names)
    search = Search(BOX, prior, WIDTHS, TARGET, 3, POPULATION, TOLERANCE, TRIALS, seed)
    rows: list[tuple[float, tuple[float, ...], int, float]] = []
    for width in WIDTHS:
        while not isinstance(found := search.decide(width, Observations.of(rows, 1)), Stopped):
            rows += [
                (float(width), (float(x),), each, _loss(committed, recipe, width, each, float(x)))
                for (x,) in found
                for each in SEEDS
            ]
    like = {(t.width, t.seed): t for t in _swept(committed) if t.recipe == recipe}
    return [
        dataclasses.replace(
            like[int(width), each],
            trial=f"{recipe} {width} {x} {each}",
            learning_rate=2.0**x,
            eval_loss=loss,
        )
        for width, (x,), each, loss in rows
    ]


def _swept(trials: Sequence[TrialResult]) -> list[TrialResult]:
    return [t for t in trials if t.origin == "sweep" and t.width in WIDTHS]


def _loss(trials: Sequence[TrialResult], recipe: str, width: int, seed: int, x: float) -> float:
    points = sorted(
        (math.log2(t.learning_rate), math.log(t.eval_loss))
        for t in _swept(trials)
        if (t.recipe, t.width, t.seed) == (recipe, width, seed)
    )
    return math.exp(float(CubicSpline(*zip(*points, strict=True))(x)))


def _told(verdict: SweepVerdict, recipe: str) -> str:
    judged = verdict.recipes[recipe]
    optima = [optimum.log2_learning_rate.value for optimum in judged.optima]
    shown = " / ".join("undecided" if x is None else f"{x:.2f}" for x in optima)
    return f"{recipe}: transfers {judged.answer.transfers}, {shown}"


def main() -> None:
    """Print the grid's verdict and each search's."""
    committed = RunDirectory(HERE.parent / "quickstart").trials()
    recipes = sorted({trial.recipe for trial in committed})
    target = [trial for trial in committed if trial.width == TARGET]
    verdict = Report.of_trials(committed).verdict
    print(f"grid, {len(_swept(committed))} trials:", [_told(verdict, each) for each in recipes])
    for seed in range(SEARCHES):
        rows = [row for recipe in recipes for row in searched(committed, recipe, seed)]
        verdict = Report.of_trials([*rows, *target]).verdict
        print(f"search {seed}, {len(rows)} trials:", [_told(verdict, each) for each in recipes])


if __name__ == "__main__":
    main()

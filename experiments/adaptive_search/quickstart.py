"""The quickstart's grid, searched: `python -m experiments.adaptive_search.quickstart`.

Trains nothing: the loss of a learning rate between those of the grid (`quickstart_grid.parquet`) is
that of a cubic spline through its seed's log losses at the width. Prints for the grid, this replay
and the live run (`quickstart_live.parquet`) how many trials were trained and recorded at the
proxies, what the verdict is with the target's trials, and how far optima lie from the grid's. A
replay has the grid's trials at the target.
"""

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Sequence

import pyarrow.parquet as pq
from scipy.interpolate import CubicSpline

from transfer.analysis import SweepVerdict, predict
from transfer.config import Experiment, SearchSpace, read
from transfer.report import Report
from transfer.run_directory import RunDirectory, TrialResult
from transfer.sweeps.adaptive import search_adaptively
from transfer.training import TrialGroup

GRID = pathlib.Path(__file__).parent / "quickstart_grid.parquet"
LIVE = GRID.with_name("quickstart_live.parquet")
TARGET = 128
RECIPES = ("standard", "mup+sqrt")


def experiment() -> Experiment:
    """The quickstart with an adaptive search in the range of its grid.

    Two recipes with three seeds fill two cores with one point a round.
    """
    made = read(
        {
            "base_width": 16,
            "model": {"width": TARGET, "layers": 2, "head_dim": 16, "dtype": "float32"},
            "hyperparameters": {
                "learning_rate": 2.0**-6,
                "weight_decay": 0.1,
                "readout_output": 4.0,
            },
            "data": {"sequence_length": 64, "batch_size": 16},
            "training": {"steps": 150, "warmup": 20},
        }
    )
    sweep = dataclasses.replace(
        made.sweep,
        search="adaptive",
        widths=(16, 32, 64),
        recipes=RECIPES,
        seeds=(0, 1, 2),
        space=SearchSpace(learning_rate=(2.0**-8, 2.0**-3)),
        population=1,
    )
    return dataclasses.replace(made, sweep=sweep)


def searched(grid: Sequence[TrialResult]) -> list[TrialResult]:
    """The trials of a search that sees the splines' losses."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(folder)

        def train(group: TrialGroup) -> None:
            run.add_group(group.name, [_row(grid, group, spec) for spec in group.trials], [], [])

        search_adaptively(experiment(), run, train)
        return run.trials()


def is_trained(trial: TrialResult) -> bool:
    """Whether a trial is not recorded under another recipe too, as which it was trained."""
    return not trial.execution.startswith("that of")


def _row(grid, group, spec) -> TrialResult:  # type: ignore[no-untyped-def]
    recipe, width, x = str(spec.recipe), group.shape.width, spec.hyperparameters.learning_rate
    mine = [
        trial
        for trial in swept(grid)
        if (trial.recipe, trial.width, trial.seed) == (recipe, width, spec.seed)
    ]
    points = sorted((math.log2(t.learning_rate), math.log(t.eval_loss)) for t in mine)
    loss = math.exp(float(CubicSpline(*zip(*points, strict=True))(math.log2(x))))
    return dataclasses.replace(
        mine[0],
        trial=group.trial_name(spec),
        group=group.name,
        learning_rate=x,
        eval_loss=loss,
        execution="spline",
    )


def swept(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Those of the proxies."""
    return [t for t in trials if t.origin == "sweep" and t.width < TARGET]


def optima(verdict: SweepVerdict, trials: Sequence[TrialResult], recipe: str) -> list[float]:
    """log2 of the best learning rate at every proxy, and of the one that is predicted; or NaN."""
    fitted = [
        optimum.log2_learning_rate.value
        for optimum in verdict.recipes[recipe].optima
        if optimum.width < TARGET
    ]
    predicted = predict(swept(trials), recipe, TARGET).log2_learning_rate
    return [math.nan if x is None else x for x in (*fitted, predicted)]


def main() -> None:
    """Print what each has trained, and what its verdict is."""
    grid, live = (
        [TrialResult(**row) for row in pq.read_table(file).to_pylist()] for file in (GRID, LIVE)
    )
    replayed = [*searched(grid), *(trial for trial in grid if trial.width == TARGET)]
    reference: dict[str, list[float]] = {}
    for name, trials in (("grid", grid), ("replayed", replayed), ("live", live)):
        at_proxies, verdict = swept(trials), Report.of_trials(trials).verdict
        trained = sum(map(is_trained, at_proxies))
        print(f"{name}: {trained} trained, {len(at_proxies)} recorded at the proxies")
        for recipe in RECIPES:
            found = optima(verdict, trials, recipe)
            reference.setdefault(recipe, found)
            apart = [x - y for x, y in zip(found, reference[recipe], strict=True)]
            answer = verdict.recipes[recipe].answer.transfers
            print(f"  {recipe}: {answer}, {_shown(found)}, off by {_shown(apart)}")


def _shown(values: Sequence[float]) -> str:
    return " / ".join(f"{value:+.2f}" for value in values)


if __name__ == "__main__":
    main()

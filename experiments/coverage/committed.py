"""Forecasts of regrets on the sweeps under `experiments/`, each width held out in turn."""

import itertools
import pathlib
from typing import Any

from transfer.analysis import find_regret, fit_widths, forecast_regret, sweeps_by_recipe
from transfer.run_directory import RunDirectory

EXPERIMENTS = pathlib.Path(__file__).parents[1]


def held_out() -> list[dict[str, Any]]:
    """Return forecast and fitted regret of every width with two narrower ones.

    A forecast is made of all seeds of the narrower widths, and of the first seed alone.
    """
    rows = []
    for table in sorted(EXPERIMENTS.rglob("trials.parquet")):
        trials = RunDirectory(table.parent).require_trials()
        for recipe, sweeps in sweeps_by_recipe(trials).items():
            first = min(trial.seed for trial in trials)
            for narrow, wide in itertools.pairwise(sweeps[1:]):
                width = wide.optimum.width
                regret = find_regret(trials, recipe, width, narrow, wide)
                told = [t for t in trials if t.recipe == recipe and t.width < width]
                told = [t for t in told if t.origin == "sweep" and t.status != "failed"]
                for seeds, used in (
                    ("all", told),
                    ("one", [trial for trial in told if trial.seed == first]),
                ):
                    widths = sorted({trial.width for trial in used})
                    forecast = forecast_regret(fit_widths(used, recipe, widths), width)
                    rows.append(
                        {
                            "sweep": str(table.parent.relative_to(EXPERIMENTS)),
                            "recipe": recipe,
                            "width": width,
                            "seeds": seeds,
                            "forecast": forecast,
                            "fitted": regret.relative,
                        }
                    )
    return rows


def held_out_table() -> str:
    """Return them as Markdown, with how many forecasts hold the fitted regret."""
    titles = ["sweep", "recipe", "width held out", "seeds", "forecast", "fitted there", "held"]
    lines = [titles, ["---"] * len(titles)]
    held = told = 0
    for row in held_out():
        forecast, fitted = row["forecast"], row["fitted"]
        answer = "-"
        if forecast.interval is not None and fitted.value is not None:
            told += 1
            is_held = forecast.interval[0] <= fitted.value <= forecast.interval[1]
            held += is_held
            answer = "yes" if is_held else "no"
        texts = [
            each.text(".2%") if each.value is not None else "unknown" for each in (forecast, fitted)
        ]
        place = [row["sweep"], row["recipe"], str(row["width"]), row["seeds"]]
        lines.append([*place, *texts, answer])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{held} of {told} forecasts hold the regret that was fitted with the width."

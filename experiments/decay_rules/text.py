"""Decay rules in a transformer on text: `python -m experiments.decay_rules.text`.

Trains into `runs/decay_rules`, where the same command goes on: widths under every rule, and the
widest once more under the exponents that the narrower ones ask for. Writes `text.parquet`, one row
per trial, measurement and kind of sublayer, `text.png` and the part `transformer` of
`verdict.json`, and prints the tables of the README. `--judge` judges and draws the table anew.
"""

import argparse
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow.parquet as pq

from experiments.decay_rules.run import HERE, write_verdict
from experiments.decay_rules.text_figure import text_figure
from experiments.decay_rules.text_judge import BASE_WIDTH, SWEPT, exponents, judge
from experiments.decay_rules.text_summary import summary
from experiments.sublayers import sublayers, trained, write_rows
from transfer.analysis.names import short_names
from transfer.cli import platform
from transfer.config import Experiment, RecipeConfig, read, template
from transfer.report.style import to_png
from transfer.scaling import Calibration, Recipe, Role
from transfer.training import TrialGroup, TrialSpec

TABLE = HERE / "text.parquet"
COLUMNS = (
    *("arm", "recipe", "width", "seed", "kind", "step", "decay_times", "eval_loss"),
    *("sigma_1", "gain", "alignment", "rms", "equilibrium_rms"),
)
WIDTHS = (16, 32, 64, 128)
SEEDS = (0, 1, 2)
# After so many steps the widest has seen 3.2 decay times, and the narrower ones as many or more.
STEPS = 3328
# Learning rate and decay, at the base width, of hidden matrices that have 2^-8 and 1/4 at the
# widest under every rule: lr * decay is 2^-10 there, and at most 2^-7 at the narrowest.
_GROWTH = max(WIDTHS) / BASE_WIDTH
HYPERPARAMETERS = {
    SWEPT: (2.0**-5, _GROWTH**-0.5 / 4),
    "mup+constant": (2.0**-5, 1 / 4),
    "mup+independent": (2.0**-5, 1 / _GROWTH / 4),
    "standard": (2.0**-8, 1 / 4),
}


def experiment() -> Experiment:
    """A decoder of two layers on text."""
    config = template()
    config.name = "decay_rules"
    config.base_width = BASE_WIDTH
    config.model.width = max(WIDTHS)
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    learning_rate, weight_decay = HYPERPARAMETERS[SWEPT]
    config.hyperparameters.learning_rate = learning_rate
    config.hyperparameters.weight_decay = weight_decay
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 32
    config.data.batch_size = 8
    config.training.steps = STEPS
    config.training.schedule = "constant"
    config.training.warmup = 20
    config.training.log_every = 128
    config.training.spectrum_every = 128
    return read(config)


def groups(asked: Experiment) -> list[TrialGroup]:
    """Every width under every rule, narrow ones first; at the widest muP's rules are one."""
    return [
        asked.group(width, trials(asked, rule, asked.recipe.build(rule)))
        for width in WIDTHS
        for rule in (HYPERPARAMETERS if width < max(WIDTHS) else (SWEPT, "standard"))
    ]


def trials(asked: Experiment, rule: str, recipe: Recipe) -> list[TrialSpec]:
    """A rule's hyperparameters with every seed, under a recipe."""
    learning_rate, weight_decay = HYPERPARAMETERS[rule]
    chosen = dataclasses.replace(
        asked.hyperparameters, learning_rate=learning_rate, weight_decay=weight_decay
    )
    return [TrialSpec(chosen, seed, recipe) for seed in SEEDS]


def calibrations(asked: Experiment, rows: Iterable[Mapping[str, Any]]) -> dict[str, Calibration]:
    """The exponents that the narrower widths ask for, by the arm that tries them."""
    layout = asked.layout(max(WIDTHS)).parameters
    paths = sorted(path for path, each in layout.items() if each.role == Role.HIDDEN)
    names = short_names(paths)
    return {
        arm: Calibration(
            paths=tuple(paths),
            exponents=tuple(by_kind[name] for name in names),
            swept=0.5,
            widest=sorted(WIDTHS)[-2] / BASE_WIDTH,
        )
        for arm, by_kind in exponents(rows).items()
    }


def measured() -> list[dict[str, Any]]:
    """Train what is missing and return the rows of all arms."""
    asked = experiment()
    rows = _rows("rule", trained("runs/decay_rules/text", asked, groups(asked)))
    for arm, calibration in calibrations(asked, rows).items():
        recipe = RecipeConfig(name="mup+measured", calibration=calibration)
        tried = dataclasses.replace(asked, recipe=recipe)
        group = tried.group(max(WIDTHS), trials(asked, SWEPT, recipe.build()))
        folder = f"runs/decay_rules/text_{arm.replace(' ', '_')}"
        run = trained(folder, tried, [group])
        rows += _rows(arm, run)
    return rows


def main() -> None:
    """Measure, write the table, the figure and the verdict, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", action="store_true", help="do not train, read the table")
    if not parser.parse_args().judge:
        write_rows(measured(), COLUMNS, TABLE)
    table = pq.read_table(TABLE).to_pylist()
    verdict = judge(table)
    write_verdict("transformer", verdict)
    (HERE / "text.png").write_bytes(to_png(text_figure(table, verdict)))
    print(summary(verdict))


def _rows(arm: str, run: Any) -> list[dict[str, Any]]:
    return [{"arm": arm, **row} for row in sublayers(run)]


if __name__ == "__main__":
    platform.prepare()
    main()

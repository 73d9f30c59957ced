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

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.decay_rules.run import HERE, write_verdict
from experiments.decay_rules.text_figure import text_figure
from experiments.decay_rules.text_judge import BASE_WIDTH, SWEPT, exponents, judge
from experiments.decay_rules.text_summary import summary
from experiments.sublayers import sublayers, trained
from transfer.analysis.names import short_names
from transfer.cli import platform
from transfer.config import Experiment, RecipeConfig, read, template
from transfer.report.style import to_png
from transfer.scaling import Calibration, Role
from transfer.sweep import Group, Setting

TABLE = HERE / "text.parquet"
WIDTHS = (16, 32, 64, 128)
RULES = (SWEPT, "mup+constant", "mup+independent", "standard")
SEEDS = (0, 1, 2)
# Under `mup+constant`, the slowest to settle, the widest has then seen 3.2 decay times.
STEPS = 1664


def experiment() -> Experiment:
    """A decoder of two layers on text."""
    config = template()
    config.name = "decay_rules"
    config.base_width = BASE_WIDTH
    config.model.width = max(WIDTHS)
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.hyperparameters.learning_rate = 2.0**-5
    config.hyperparameters.weight_decay = 0.5
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 32
    config.data.batch_size = 8
    config.training.steps = STEPS
    config.training.schedule = "constant"
    config.training.warmup = 20
    config.training.log_every = 64
    config.training.spectrum_every = 64
    return read(config)


def groups(asked: Experiment) -> list[Group]:
    """Every width under every rule, narrow ones first; at the base width all rules are one."""
    settings = tuple(Setting(asked.hyperparameters, seed) for seed in SEEDS)
    return [
        Group(width, rule, settings)
        for width in WIDTHS
        for rule in (RULES if width > BASE_WIDTH else (SWEPT,))
    ]


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
        settings = tuple(Setting(asked.hyperparameters, seed) for seed in SEEDS)
        group = Group(max(WIDTHS), str(recipe.build()), settings)
        folder = f"runs/decay_rules/text_{arm.replace(' ', '_')}"
        run = trained(folder, dataclasses.replace(asked, recipe=recipe), [group])
        rows += _rows(arm, run)
    return rows


def main() -> None:
    """Measure, write the table, the figure and the verdict, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", action="store_true", help="do not train, read the table")
    if not parser.parse_args().judge:
        pq.write_table(pa.Table.from_pylist(measured()), TABLE)
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

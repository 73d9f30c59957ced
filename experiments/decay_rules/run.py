"""How singular values that noise makes follow width: `python -m experiments.decay_rules.run`.

Writes `synthetic.parquet`, one row per trained matrix and number of decay times, `synthetic.png`
and the part `synthetic` of `verdict.json` beside this file, and prints the tables of the README.
`--judge` judges and draws the table anew without training.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.decay_rules.figure import synthetic_figure
from experiments.decay_rules.judge import judge
from experiments.decay_rules.pair import Pair, trained
from experiments.decay_rules.summary import summary
from transfer.cli import platform
from transfer.report.style import to_png
from transfer.scaling import Recipe

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "synthetic.parquet"
SEEDS = 5

AS_IS = Pair()
RULES = ("mup+constant", "mup+sqrt", "mup+independent", "standard")
RULE_WIDTHS = (32, 64, 128, 256, 512)
# The widest runs last this many decay times, and the narrower ones as many steps.
RULE_DECAY_TIMES = 6

# One factor at a time, all under `standard`, whose slope of sigma_1 is p itself.
FACTORS = {
    "as is": AS_IS,
    "batch 4": Pair(batch=4),
    "batch 256": Pair(batch=256),
    "half as many hidden": Pair(aspect=Fraction(1, 2)),
    "as many hidden": Pair(aspect=Fraction(1)),
    "4 times as many hidden": Pair(aspect=Fraction(4)),
    "lr * decay / 4": Pair(per_step=AS_IS.per_step / 4),
    "lr * decay x 4": Pair(per_step=AS_IS.per_step * 4),
    "normalised output": Pair(normalised=True),
    "ReLU": Pair(activation="relu"),
    "ReLU, normalised output": Pair(activation="relu", normalised=True),
    "one matrix alone": Pair(matrices=1),
}
FACTOR_WIDTHS = (32, 64, 128, 256)
FACTOR_DECAY_TIMES = 24

# The same pair for long: at a multiple of 3/16 decay times per unit of width all widths compare.
LONG_WIDTHS = (16, 32, 64, 128, 256)
LONG_DECAY_TIMES = 96
DOUBLINGS = (1, 2, 3, 6, 12, 24, 48, 96)


def measured(
    part: str,
    setting: str,
    pair: Pair,
    recipe: Recipe,
    widths: Sequence[int],
    decay_times: float,
    seeds: int = SEEDS,
) -> list[dict[str, Any]]:
    """Rows of all widths, trained for the steps in which the widest sees `decay_times`."""
    per_step = {width: pair.decay_per_step(pair.layout(width), recipe) for width in widths}
    last = round(decay_times / per_step[max(widths)])
    rows = []
    for width in widths:
        earlier = [round(times / per_step[width]) for times in DOUBLINGS]
        steps = [step for step in earlier if step < last] + [last]
        rows += [
            {
                "part": part,
                "setting": setting,
                "recipe": str(recipe),
                "width": width,
                "decay_times": row["step"] * per_step[width],
                **row,
            }
            for row in trained(pair, recipe, width, seeds, steps)
        ]
    return rows


def asked() -> list[tuple[Any, ...]]:
    """Arguments of `measured` for all of the table."""
    unscaled = Recipe("standard")
    return [
        *(
            ("rules", "as is", AS_IS, Recipe.parse(rule), RULE_WIDTHS, RULE_DECAY_TIMES)
            for rule in RULES
        ),
        *(
            ("factors", name, pair, unscaled, FACTOR_WIDTHS, FACTOR_DECAY_TIMES)
            for name, pair in FACTORS.items()
        ),
        ("long", "as is", AS_IS, unscaled, LONG_WIDTHS, LONG_DECAY_TIMES),
    ]


def main() -> None:
    """Measure, write the table, the figure and the verdict, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", action="store_true", help="do not train, read the table")
    if not parser.parse_args().judge:
        settings = track(asked(), description="settings")
        rows = [row for setting in settings for row in measured(*setting)]
        pq.write_table(pa.Table.from_pylist(rows), TABLE)
    table = pq.read_table(TABLE).to_pylist()
    verdict = judge(table)
    write_verdict("synthetic", verdict)
    (HERE / "synthetic.png").write_bytes(to_png(synthetic_figure(table, verdict)))
    print(summary(verdict))


def write_verdict(run: str, verdict: dict[str, Any]) -> None:
    """Replace one run's part of verdict.json."""
    path = HERE / "verdict.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | {run: verdict}, indent=1) + "\n")


if __name__ == "__main__":
    platform.prepare()
    main()

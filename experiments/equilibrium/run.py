"""Gains and singular values at one width: `python -m experiments.equilibrium.run`.

Trains into `runs/equilibrium`, where the same command goes on. Writes `sublayers.parquet`, one row
per trial, measurement and kind of sublayer, `equilibrium.png` and `verdict.json` beside this file,
and prints the tables of the README. `--judge` judges and draws the table anew without training.
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from experiments.equilibrium.figure import equilibrium_figure
from experiments.equilibrium.judge import judge
from experiments.equilibrium.summary import summary
from experiments.sublayers import sublayers, trained, write_rows
from transfer.cli import platform
from transfer.config import Experiment, read, template
from transfer.report.style import to_png
from transfer.scaling import Recipe
from transfer.training import TrialGroup, TrialSpec

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "sublayers.parquet"
COLUMNS = (
    *("arm", "seed", "kind", "step", "decay_times", "eval_loss"),
    *("sigma_1", "sigma_2", "sigma_3", "sigma_4", "gain", "alignment", "stable_rank"),
    *("rms", "equilibrium_rms"),
)
WIDTH = 64
LEARNING_RATE, DECAY = 2.0**-6, 2.0**-3
SEEDS = (0, 1, 2)
STEPS = 3200

# What learning rate and decay are multiplied by.
Arms = Mapping[str, tuple[float, float]]
ARMS: Arms = {
    "base": (1.0, 1.0),
    "decay / 2": (1.0, 0.5),
    "decay x 2": (1.0, 2.0),
    "both x 2": (2.0, 2.0),
    "both x 4": (4.0, 4.0),
}
# At a quarter of the base's lr * decay a run settles after twice the steps only. Its first half is
# what a run of as many steps as the others would be, since the learning rate is constant.
SLOW: Arms = {"both / 2": (0.5, 0.5)}


def experiment(steps: int) -> Experiment:
    """A decoder of two layers on text, at its base width, where all recipes are one."""
    config = template()
    config.name = "equilibrium"
    config.base_width = WIDTH
    config.model.width = WIDTH
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.hyperparameters.learning_rate = LEARNING_RATE
    config.hyperparameters.weight_decay = DECAY
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 32
    config.data.batch_size = 8
    config.training.steps = steps
    config.training.schedule = "constant"
    config.training.warmup = 100
    config.training.log_every = 128
    config.training.spectrum_every = 128
    return read(config)


def groups(arms: Arms, asked: Experiment) -> list[TrialGroup]:
    """The trials of each seed, so that work that is cut off loses one seed."""
    points = [
        dataclasses.replace(
            asked.hyperparameters, learning_rate=rate * LEARNING_RATE, weight_decay=decay * DECAY
        )
        for rate, decay in arms.values()
    ]
    recipe = Recipe("mup")
    return [
        asked.group(WIDTH, [TrialSpec(each, seed, recipe) for each in points]) for seed in SEEDS
    ]


def measured() -> list[dict[str, Any]]:
    """Train what is missing and return the rows of all arms."""
    rows = []
    for folder, arms, steps in (("equal_steps", ARMS, STEPS), ("slow", SLOW, 2 * STEPS)):
        asked = experiment(steps)
        run = trained(f"runs/equilibrium/{folder}", asked, groups(arms, asked))
        names = {
            (rate * LEARNING_RATE, decay * DECAY): name for name, (rate, decay) in arms.items()
        }
        rows += [
            {"arm": names[row["learning_rate"], row["weight_decay"]], **row}
            for row in sublayers(run)
        ]
    return rows


def main() -> None:
    """Measure, write the table, the figure and the verdict, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", action="store_true", help="do not train, read the table")
    if not parser.parse_args().judge:
        write_rows(measured(), COLUMNS, TABLE)
    table = pq.read_table(TABLE).to_pylist()
    verdict = judge(table)
    (HERE / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
    (HERE / "equilibrium.png").write_bytes(to_png(equilibrium_figure(table, verdict)))
    print(summary(verdict))


if __name__ == "__main__":
    platform.prepare()
    main()

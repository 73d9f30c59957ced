"""A ladder on text: exponents of learning rate and decay, best batches, and rules by left-out edge.

`python -m experiments.ladder.run` trains what `configs/ladder.py` declares into `runs/ladder`,
where the same command resumes, and writes `ladder.parquet`, a row per trial, `ladder.json` and
`ladder.png`. `--table` judges the committed table anew and trains nothing.
"""

import argparse
import dataclasses
import json
import pathlib
import runpy
from typing import Any

import pyarrow.parquet as pq

from experiments.ladder.figure import ladder_figure
from experiments.sublayers import write_rows
from transfer.analysis import Ladder, fit_ladder
from transfer.cli import platform
from transfer.cli.console import SweepProgress
from transfer.config import read
from transfer.report.ladder import ladder_tables
from transfer.report.style import to_png
from transfer.run_directory import TrialResult
from transfer.sweeps import LocalLauncher, run_sweep
from transfer.termination import listening

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "ladder.parquet"
RUN = "runs/ladder"
CONFIG = HERE.parents[1] / "configs" / "ladder.py"
RECIPE = "mup+sqrt"
COLUMNS = (
    "width", "layers", "batch_size", "steps", "tokens", "learning_rate", "weight_decay", "seed",
    "status", "loss", "eval_loss", "decay_times", "noise_scale",
)  # fmt: skip
# What all trials share, or no analysis reads.
_SHARED: dict[str, Any] = {
    "group": "", "origin": "sweep", "base_width": 16, "recipe": RECIPE, "parametrization": "mup",
    "rates": "full", "decay_rule": "sqrt", "depth_rule": "", "horizon_rule": "",
    "clipping": "invariant", "optimizer": "adamw", "input_learning_rate": 1.0,
    "readout_learning_rate": 1.0, "init_scale": 1.0, "embedding_output": 1.0,
    "readout_output": 4.0, "attention_logits": 1.0, "trunk": "", "parameters": 0, "flops": 0.0,
    "eval_accuracy": 0.0, "objective": "eval_loss", "wall_seconds": 0.0, "compile_seconds": 0.0,
    "execution": "",
}  # fmt: skip


def committed_trials() -> list[TrialResult]:
    """Return the trials of the committed table."""
    rows = pq.read_table(TABLE).to_pylist()
    return [TrialResult(trial=str(place), **row, **_SHARED) for place, row in enumerate(rows)]


def trained() -> list[TrialResult]:
    """Train what is missing, and return the trials."""
    platform.prepare()
    with listening() as asked_to_stop, SweepProgress() as progress:
        experiment = read(runpy.run_path(str(CONFIG))["get_config"]())
        run = run_sweep(experiment, RUN, progress, launcher=LocalLauncher(asked_to_stop))
    return run.trials()


def noise_scales(ladder: Ladder, trials: list[TrialResult]) -> list[tuple[int, int, float]]:
    """Return width, tokens and the median noise scale, in windows, of near-best trials.

    Those are the trials within an octave of the best learning rate of their rung.
    """
    found: dict[tuple[int, int], list[float]] = {}
    for rung in ladder.rungs:
        rate = rung.sweep.optimum.nearest_log2_learning_rate
        for trial in trials:
            near = abs(trial.learning_rate / 2**rate - 1) < 1
            same = (trial.width, trial.tokens, trial.batch_size) == (
                rung.size.width, rung.size.tokens, rung.size.batch_size,
            )  # fmt: skip
            if same and near and trial.noise_scale is not None:
                found.setdefault((trial.width, trial.tokens), []).append(trial.noise_scale)
    return [(*key, sorted(each)[len(each) // 2]) for key, each in sorted(found.items())]


def main() -> None:
    """Train or read, judge, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="judge the committed table")
    if not parser.parse_args().table:
        write_rows(map(dataclasses.asdict, trained()), COLUMNS, TABLE)
    trials = committed_trials()
    ladder = fit_ladder(trials, RECIPE)
    verdict = ladder.verdict
    (HERE / "ladder.json").write_text(json.dumps(verdict.to_json(), indent=1) + "\n")
    (HERE / "ladder.png").write_bytes(to_png(ladder_figure(ladder)))
    print(ladder_tables(verdict).text())
    print("\nGradient noise scale, in windows, of trials near the best learning rate")
    for width, tokens, scale in noise_scales(ladder, trials):
        print(f"width {width}, {tokens} tokens: {scale:.1f}")


if __name__ == "__main__":
    main()

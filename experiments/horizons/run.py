"""Trains trunks, and runs of each horizon's length, and compares what they say of learning rates.

`python -m experiments.horizons.run` trains into `runs/horizons`, where the same command resumes,
writes `losses.parquet`, `agreement.parquet` and `horizons.png`, and prints the README's tables.
`--from_tables` trains nothing, and draws and prints what the tables hold.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from experiments.horizons.figure import horizons_figure
from experiments.horizons.summary import summary
from experiments.horizons.sweeps import HORIZONS, SCHEDULES, WIDTHS, runs, trunks
from experiments.sublayers import write_rows
from transfer.analysis import horizon_agreement
from transfer.cli import platform
from transfer.cli.console import SweepProgress
from transfer.report.style import to_png
from transfer.run_directory import ReadOff, RunDirectory, TrialResult
from transfer.sweeps import LocalLauncher, run_sweep
from transfer.termination import listening

HERE = pathlib.Path(__file__).parent
LOSSES, AGREEMENT = HERE / "losses.parquet", HERE / "agreement.parquet"
KINDS = ("average", "branch")
_OF_TRIAL = ("width", "steps", "learning_rate", "seed", "status", "eval_loss", "flops")
_OF_AGREEMENT = ("settings", "rank_correlation", "octaves", "regret", "offset")


def train() -> tuple[RunDirectory, dict[tuple[int, str], RunDirectory]]:
    """Train what is missing; returns the trunks, and the runs by length and schedule."""
    folder = pathlib.Path("runs/horizons")
    with listening() as asked_to_stop, SweepProgress() as progress:
        launcher = LocalLauncher(asked_to_stop)
        trunk = run_sweep(trunks(), folder / "trunks", progress, launcher=launcher)
        of_length = {
            (steps, schedule): run_sweep(
                runs(steps, schedule),
                folder / f"{schedule}-{steps}",
                progress,
                launcher=launcher,
            )
            for steps in HORIZONS
            for schedule in SCHEDULES
        }
    return trunk, of_length


def losses(
    trunk: RunDirectory, of_length: dict[tuple[int, str], RunDirectory]
) -> Iterator[dict[str, Any]]:
    """Yield a row for every trial: of trunks, of what was read off them, and of whole runs."""
    kinds: dict[str, list[TrialResult]] = {"trunk": trunk.trials()}
    for kind in KINDS:
        kinds[kind] = [t for steps in HORIZONS for t in trunk.trials(ReadOff(steps, kind))]
    for schedule in SCHEDULES:
        kinds[schedule] = [t for steps in HORIZONS for t in of_length[steps, schedule].trials()]
    for kind, trials in kinds.items():
        for trial in trials:
            yield {"kind": kind, **{name: getattr(trial, name) for name in _OF_TRIAL}}


def agreement(
    trunk: RunDirectory, of_length: dict[tuple[int, str], RunDirectory]
) -> Iterator[dict[str, Any]]:
    """Yield how each way of reading off agrees with each kind of run, by width and horizon.

    The two kinds of run are compared with each other too, for scale, and at the end of the trunks
    their last weights with both.
    """
    for steps in HORIZONS:
        cosine, wsd = (of_length[steps, schedule].trials() for schedule in SCHEDULES)
        read = {kind: trunk.trials(ReadOff(steps, kind)) for kind in KINDS}
        pairs = [(kind, of, read[kind]) for of in SCHEDULES for kind in KINDS]
        pairs.append(("wsd", "cosine", wsd))
        if steps == HORIZONS[-1]:
            pairs += [("last weights", of, trunk.trials()) for of in SCHEDULES]
        for one, other, trials in pairs:
            against = cosine if other == "cosine" else wsd
            for width in WIDTHS:
                found = horizon_agreement(trials, against, "mup+sqrt", width)
                yield {
                    "read_off": one,
                    "runs": other,
                    "width": width,
                    "steps": steps,
                    **{name: dataclasses.asdict(found)[name] for name in _OF_AGREEMENT},
                }


def main() -> None:
    """Train what is missing, write the tables and the figure, and print what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from_tables", action="store_true", help="train nothing")
    if not parser.parse_args().from_tables:
        trunk, of_length = train()
        columns = ("kind", *_OF_TRIAL)
        write_rows(list(losses(trunk, of_length)), columns, LOSSES)
        columns = ("read_off", "runs", "width", "steps", *_OF_AGREEMENT)
        write_rows(list(agreement(trunk, of_length)), columns, AGREEMENT)
    trials, found = (pq.read_table(file).to_pylist() for file in (LOSSES, AGREEMENT))
    (HERE / "horizons.png").write_bytes(to_png(horizons_figure(trials)))
    print(summary(trials, found))


if __name__ == "__main__":
    platform.prepare()
    main()

"""Groups trained into a run directory, and what their sublayers did as one table."""

import pathlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transfer.analysis.names import short_names
from transfer.cli.console import SweepProgress
from transfer.config import Experiment
from transfer.run_directory import RunDirectory
from transfer.sweeps import train_groups
from transfer.training import TrialGroup

_OF_TRIAL = ("recipe", "width", "learning_rate", "weight_decay", "seed", "eval_loss")
_ORDER = ("recipe", "width", "learning_rate", "weight_decay", "seed", "kind", "step")
_OF_GAINS = ("gain", "alignment", "stable_rank", "rms", "equilibrium_rms", "update")


def trained(folder: str, experiment: Experiment, groups: Sequence[TrialGroup]) -> RunDirectory:
    """Train what is missing of the groups in a run directory."""
    run = RunDirectory(folder)
    with SweepProgress() as progress:
        train_groups(experiment, run, groups, progress)
    return run


def sublayers(run: RunDirectory) -> list[dict[str, Any]]:
    """One row per trial, measurement and kind of sublayer, each number a mean over layers.

    `decay_times` is the sum of lr_t * decay of hidden matrices up to the measurement.
    """
    times = _decay_times(run)
    trials = {trial.trial: trial for trial in run.trials()}
    values = _means(run.spectrum(), ["rank"], ["singular_value"])
    sizes = _means(run.gains(), [], _OF_GAINS)
    paths = sorted({parameter for _, _, parameter in sizes})
    kinds = dict(zip(paths, short_names(paths), strict=True))
    rows = [
        {
            **{name: getattr(trials[trial], name) for name in _OF_TRIAL},
            "step": step,
            "decay_times": float(times[trial][step]),
            "kind": kinds[parameter],
            **{
                f"sigma_{rank + 1}": values[trial, step, parameter, rank]["singular_value"]
                for rank in range(4)
            },
            **found,
        }
        for (trial, step, parameter), found in sizes.items()
    ]
    return sorted(rows, key=lambda row: [row[name] for name in _ORDER])


def write_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: pathlib.Path
) -> None:
    """Write some columns of the rows, numbers in single precision."""
    table = pa.Table.from_pylist([dict(row) for row in rows]).select(columns)
    kinds = {pa.float64(): pa.float32(), pa.int64(): pa.int32()}
    fields = [pa.field(field.name, kinds.get(field.type, field.type)) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path)


def _decay_times(run: RunDirectory) -> dict[str, np.ndarray]:
    """By trial, after so many steps."""
    rates = defaultdict(list)
    for row in run.metrics().sort_by("step").select(["trial", "learning_rate"]).to_pylist():
        rates[row["trial"]].append(row["learning_rate"])
    sums = {trial: np.cumsum([0.0, *each]) for trial, each in rates.items()}
    return {
        trial.trial: trial.decay_times * (s := sums[trial.trial]) / s[-1] for trial in run.trials()
    }


def _means(
    table: pa.Table, further: Sequence[str], columns: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, float]]:
    """Means over layers by trial, step, parameter and what further tells rows apart."""
    keys = ["trial", "step", "parameter", *further]
    means = table.group_by(keys).aggregate([(column, "mean") for column in columns])
    return {
        tuple(row[key] for key in keys): {column: row[f"{column}_mean"] for column in columns}
        for row in means.to_pylist()
    }

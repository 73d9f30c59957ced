"""The run directory: configuration and tables, whole or not at all.

    DIR/config.json                format number, what was asked for, versions, data, devices
    DIR/trials.parquet             one row per trial (`TrialResult`)
    DIR/metrics/GROUP.parquet      trial, step, loss, grad_norm, learning_rate
    DIR/spectrum/GROUP.parquet     trial, step, parameter, layer, rank, singular_value, bound
    DIR/gains/GROUP.parquet        trial, step, parameter, layer, gain, alignment, ...
    DIR/tensorboard/TRIAL/         events, where they were asked for
    DIR/checkpoints/               orbax; of a sweep, a folder for the group that is being trained
    DIR/hyperparameters.json       what `transfer predict` found
    DIR/forecast.json              what `transfer forecast` said before the target was trained
    DIR/plan.json                  what `transfer plan` found, maybe before anything else
    DIR/report/                    verdict.json, report.html and figures
    DIR/.lock                      while a process writes: which one, and on which host

A file is written beside its final name and renamed, so a reader never sees half of one, and
`trials.parquet` is written last: a group is done exactly when its trials are in it.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from transfer.atomic import atomic_write
from transfer.errors import TransferError
from transfer.markup import html_table
from transfer.run_directory.horizons import ReadOff, at_horizon
from transfer.run_directory.lock import exclusive, writer
from transfer.run_directory.tables import (
    ADDED_COLUMNS,
    GAINS_SCHEMA,
    METRICS_SCHEMA,
    SPECTRUM_SCHEMA,
    TRIALS_SCHEMA,
    TrialResult,
)
from transfer.user_paths import user_path

CONFIG, FORECAST, PLAN = "config.json", "forecast.json", "plan.json"

FORMAT = 1
"""The number of this layout of files and columns, which config.json records.

A later version that changes the layout counts on, and reads directories of every number before it.
"""


class RunDirectory:
    """The files of one run, on a local disk or in a bucket.

    Raises `TransferError` for a path that is none (`transfer.user_paths`).

    Example:
      >>> run = RunDirectory("runs/quickstart")  # doctest: +SKIP
      >>> [trial.eval_loss for trial in run.trials()]  # doctest: +SKIP
    """

    def __init__(self, path: epath.PathLike):
        self.path = user_path(path, "run directory")

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self)!r})"

    def _repr_html_(self) -> str:
        """Its trials by recipe and width, for notebooks."""
        groups: dict[tuple[str, int], list[TrialResult]] = {}
        for trial in self.trials():
            groups.setdefault((trial.recipe, trial.width), []).append(trial)
        rows = [["recipe", "width", "trials", "diverged", "steps", "lowest loss"]]
        for (recipe, width), trials in groups.items():
            lowest = min(trial.objective_value for trial in trials)
            rows.append(
                [
                    recipe,
                    str(width),
                    str(len(trials)),
                    str(sum(trial.status == "diverged" for trial in trials)),
                    ", ".join(map(str, sorted({trial.steps for trial in trials}))),
                    f"{lowest:.4f}" if math.isfinite(lowest) else "-",
                ]
            )
        return html_table(f"{sum(map(len, groups.values()))} trials in {self}", rows)

    @property
    def report(self) -> epath.Path:
        """Where figures and the verdict go."""
        return self.path / "report"

    @property
    def checkpoints(self) -> epath.Path:
        """Where orbax keeps its steps."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> epath.Path:
        """Where TensorBoard finds a folder of events for each trial."""
        return self.path / "tensorboard"

    @property
    def writer(self) -> str | None:
        """Which process trains into the directory now, None where none does (`lock.writer`)."""
        return writer(self.path)

    def exclusive(self) -> AbstractContextManager[None]:
        """Be the only process that trains into the directory for the block (`lock.exclusive`)."""
        return exclusive(self.path)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return the content of a JSON file of the run, or None when it is not there."""
        file = self.path / name
        if not file.exists():
            return None
        try:
            content = json.loads(file.read_text())
        except ValueError as error:  # no JSON, or no text at all
            raise TransferError(
                f"{file} is not valid JSON ({error}); it is written whole by this program, so "
                "restore it or start with another --run directory."
            ) from error
        if not isinstance(content, dict):
            raise TransferError(f"{file} holds no JSON object; restore it or use another --run.")
        return content

    def config(self) -> dict[str, Any] | None:
        """Return what `config.json` records of the run, or None when it is not there.

        Raises:
          TransferError: the directory has a format that this version does not read.
        """
        content = self.read_json(CONFIG)
        if content is None or content.get("format") == FORMAT:
            return content
        found = content.get("format", "no number, which is older than 1")
        raise TransferError(
            f"{self.path / CONFIG} has format {found}, but this version reads {FORMAT}; read it "
            "with the version that wrote it, or start with another --run directory."
        )

    def write_config(self, content: Mapping[str, Any]) -> epath.Path:
        """Write `config.json` with the number of this format."""
        return self.write_json(CONFIG, {"format": FORMAT, **content})

    def write_json(self, name: str, content: Mapping[str, Any]) -> epath.Path:
        """Write a JSON file whole; NaN and infinity are refused, an unknown is null."""
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> epath.Path:
        """Write any file of the run whole: beside its name first, then renamed."""
        file = self.path / name
        with atomic_write(file) as stream:
            stream.write(content)
        return file

    def trials(self, horizon: ReadOff | None = None) -> list[TrialResult]:
        """Return every trial, sorted by recipe, width, origin, rate, decay and seed.

        With a horizon they are what was read off there, as runs of that length; see `at_horizon`.
        Without one, what was read off trunks is left out, so that lengths are never mixed.

        Raises:
          TransferError: nothing was read off at the horizon.
        """
        rows = self.rows()
        return (
            [row for row in rows if not row.trunk] if horizon is None else at_horizon(rows, horizon)
        )

    def rows(self) -> list[TrialResult]:
        """Return every row of the table of trials, what was read off trunks included."""
        table = self._read_table(self.path / "trials.parquet", TRIALS_SCHEMA)
        if table is None:
            return []
        return [TrialResult(**row) for row in table.to_pylist()]

    def to_pandas(self) -> Any:
        """Return the finished trials as a pandas frame, a row each (`docs/tables.md`).

        Raises:
          TransferError: pandas is not installed; it comes with no other package that is needed.

        Example:
          >>> frame = RunDirectory("runs/proxies").to_pandas()  # doctest: +SKIP
          >>> frame.groupby(["recipe", "width"]).eval_loss.min()  # doctest: +SKIP
        """
        rows = [dataclasses.asdict(trial) for trial in self.trials()]
        try:
            return pa.Table.from_pylist(rows, schema=TRIALS_SCHEMA).to_pandas()
        except ImportError as error:
            raise TransferError(
                "A frame needs pandas, which is not installed; expected pip install pandas, or "
                "RunDirectory.trials()."
            ) from error

    def require_trials(self, horizon: ReadOff | None = None) -> list[TrialResult]:
        """Return the trials, or raise when there is not one."""
        trials = self.trials(horizon) if self.trials() else []
        if not trials:
            inside = self.path.iterdir() if self.path.exists() else ()
            runs = ", ".join(sorted(f.name for f in inside if (f / "trials.parquet").exists()))
            missing = (
                f"name one of the runs in it ({runs})" if runs else "run that first, or check --run"
            )
            raise TransferError(
                f"The run directory {self.path} holds no trials; expected trials.parquet as "
                f"`transfer sweep --run=DIR` writes it: {missing}."
            )
        return trials

    def add_group(
        self,
        group: str,
        trials: Sequence[TrialResult],
        metrics: Iterable[Mapping[str, Any]],
        spectrum: Iterable[Mapping[str, Any]],
        gains: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Add a finished group: what was measured first, its trials last.

        A group that is already there is replaced, so adding twice changes nothing.
        """
        self._write_table(f"metrics/{group}.parquet", metrics, METRICS_SCHEMA)
        self._write_table(f"spectrum/{group}.parquet", spectrum, SPECTRUM_SCHEMA)
        self._write_table(f"gains/{group}.parquet", gains, GAINS_SCHEMA)
        names = {trial.trial for trial in trials}
        rows = [trial for trial in self.rows() if trial.trial not in names] + list(trials)
        rows.sort(key=_order)
        self._write_table("trials.parquet", map(dataclasses.asdict, rows), TRIALS_SCHEMA)

    def replace(
        self,
        trials: Iterable[TrialResult],
        metrics: Iterable[Mapping[str, Any]] = (),
        spectrum: Iterable[Mapping[str, Any]] = (),
        gains: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Make these the only trials of a directory that holds results of other runs."""
        self._write_table("metrics/all.parquet", metrics, METRICS_SCHEMA)
        self._write_table("spectrum/all.parquet", spectrum, SPECTRUM_SCHEMA)
        self._write_table("gains/all.parquet", gains, GAINS_SCHEMA)
        rows = map(dataclasses.asdict, sorted(trials, key=_order))
        self._write_table("trials.parquet", rows, TRIALS_SCHEMA)

    def metrics(self) -> pa.Table:
        """Return the training curves of all groups as one table (`METRICS_SCHEMA`)."""
        return self._read_folder("metrics", METRICS_SCHEMA)

    def spectrum(self) -> pa.Table:
        """Return the singular values of all groups as one table (`SPECTRUM_SCHEMA`)."""
        return self._read_folder("spectrum", SPECTRUM_SCHEMA)

    def gains(self) -> pa.Table:
        """Return what sublayers do to the size of their inputs as one table (`GAINS_SCHEMA`)."""
        return self._read_folder("gains", GAINS_SCHEMA)

    def _read_folder(self, name: str, schema: pa.Schema) -> pa.Table:
        folder = self.path / name
        # Listed and not globbed, because a path may hold characters that a pattern does not take as
        # they are.
        files = sorted(folder.iterdir()) if folder.exists() else []
        files = [file for file in files if file.suffix == ".parquet"]
        tables = [table for file in files if (table := self._read_table(file, schema)) is not None]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def _read_table(self, file: epath.Path, schema: pa.Schema) -> pa.Table | None:
        if not file.exists():
            return None
        try:
            table = pq.read_table(pa.BufferReader(file.read_bytes()))
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise TransferError(
                f"{file} is not a Parquet table ({reason}); it is written whole by this program, "
                "so restore it or start with another --run directory."
            ) from error
        for field in schema:
            if field.name in ADDED_COLUMNS and field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(len(table), field.type))
        if table.schema != schema:
            raise TransferError(
                f"{file} has other columns than this version of the program writes; read "
                "it with the version that wrote it, or start with another --run directory."
            )
        return table

    def _write_table(self, name: str, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.write_bytes(name, sink.getvalue().to_pybytes())


def _order(trial: TrialResult) -> tuple[Any, ...]:
    return (
        trial.recipe,
        trial.width,
        trial.origin,
        trial.learning_rate,
        trial.weight_decay,
        trial.seed,
        trial.trial,
    )

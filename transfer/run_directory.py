"""The run directory: configuration and tables, whole or not at all.

    DIR/config.json                what was asked for, versions, data fingerprint, devices
    DIR/trials.parquet             one row per trial (`Trial`)
    DIR/metrics/GROUP.parquet      trial, step, loss, grad_norm, learning_rate
    DIR/spectrum/GROUP.parquet     trial, step, parameter, layer, rank, singular_value, bound
    DIR/gains/GROUP.parquet        trial, step, parameter, layer, gain, alignment, ...
    DIR/tensorboard/TRIAL/         events, where they were asked for
    DIR/checkpoints/               orbax; of a sweep, a folder for the group that is being trained
    DIR/hyperparameters.json       what `transfer predict` found
    DIR/plan.json                  what `transfer plan` found, maybe before anything else
    DIR/report/                    verdict.json, report.html and figures

A file is written beside its final name and renamed, so a reader never sees half of one, and
`trials.parquet` is written last: a group is done exactly when its trials are in it.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from transfer.atomic import atomic_write
from transfer.errors import TransferError
from transfer.markup import html_table

Status = Literal["completed", "diverged", "failed"]
Origin = Literal["sweep", "predicted"]
PLAN = "plan.json"
# What the trials of a sweep may be compared by, in words.
OBJECTIVES: Mapping[str, str] = {
    "eval_loss": "held-out loss",
    "loss": "training loss over the last tenth",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One training run: its resolved settings, its name (a hash of them) and its outcome.

    `loss` is the training loss averaged over the last tenth of the steps, `eval_loss` that on
    held-out data after the last step, both in nats per token, and `eval_accuracy` the share of
    held-out tokens that are named; all are NaN when the trial diverged. `objective` names the one
    of the two losses by which the sweep compares. A labelled image counts as one token. `settled`
    is sum_t lr_t * decay of the hidden matrices, the number of decay times a run has lasted.
    `flops` are 3 times those of a forward pass's products, for every step.
    """

    trial: str
    group: str
    origin: Origin
    width: int
    base_width: int
    recipe: str
    parametrization: str
    rates: str
    decay: str
    learning_rate: float
    weight_decay: float
    input_learning_rate: float
    readout_learning_rate: float
    init_scale: float
    embedding_output: float
    readout_output: float
    attention_logits: float
    seed: int
    steps: int
    tokens: int
    parameters: int
    flops: float
    status: Status
    loss: float
    eval_loss: float
    eval_accuracy: float
    objective: str
    settled: float
    seconds: float
    execution: str

    @property
    def compared(self) -> float:
        """The loss by which the sweep compares its trials; infinite where training diverged."""
        loss: float = getattr(self, self.objective)
        return loss if self.status == "completed" and math.isfinite(loss) else math.inf


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}
TRIALS_SCHEMA = pa.schema(
    [
        (field.name, _ARROW.get(field.type, pa.string()))  # type: ignore[arg-type]
        for field in dataclasses.fields(Trial)
    ]
)
METRICS_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("step", pa.int64()),
        ("loss", pa.float64()),
        ("grad_norm", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)
SPECTRUM_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("step", pa.int64()),
        ("parameter", pa.string()),
        ("layer", pa.int64()),
        ("rank", pa.int64()),
        ("singular_value", pa.float64()),
        ("bound", pa.float64()),
    ]
)
# Of one hidden matrix: what it does to the size of its inputs (`transfer.probes.gain`), and how its
# effective weights and their last step compare with the equilibrium of AdamW at that step's rate.
GAINS_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("step", pa.int64()),
        ("parameter", pa.string()),
        ("layer", pa.int64()),
        ("gain", pa.float64()),
        ("alignment", pa.float64()),
        ("stable_rank", pa.float64()),
        ("rms", pa.float64()),
        ("equilibrium_rms", pa.float64()),
        ("update", pa.float64()),
    ]
)


class RunDirectory:
    """The files of one run, on a local disk or in a bucket.

    Example:
      >>> run = RunDirectory("runs/quickstart")  # doctest: +SKIP
      >>> [trial.eval_loss for trial in run.trials()]  # doctest: +SKIP
    """

    def __init__(self, path: epath.PathLike):
        self.path = epath.Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self)!r})"

    def _repr_html_(self) -> str:
        """Its trials by recipe and width, for notebooks."""
        groups: dict[tuple[str, int], list[Trial]] = {}
        for trial in self.trials():
            groups.setdefault((trial.recipe, trial.width), []).append(trial)
        rows = [["recipe", "width", "trials", "diverged", "steps", "lowest loss"]]
        for (recipe, width), trials in groups.items():
            lowest = min(trial.compared for trial in trials)
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

    def trials(self) -> list[Trial]:
        """Return every finished trial, sorted by recipe, width, origin, rate, decay and seed."""
        table = self._read_table(self.path / "trials.parquet", TRIALS_SCHEMA)
        if table is None:
            return []
        return [Trial(**row) for row in table.to_pylist()]

    def require_trials(self) -> list[Trial]:
        """Return the finished trials, or raise when there is not one."""
        trials = self.trials()
        if not trials:
            raise TransferError(
                f"The run directory {self.path} holds no trials; expected trials.parquet as "
                "`transfer sweep --run=DIR` writes it: run that first or check the path."
            )
        return trials

    def add_group(
        self,
        group: str,
        trials: Sequence[Trial],
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
        rows = [trial for trial in self.trials() if trial.trial not in names] + list(trials)
        rows.sort(key=_order)
        self._write_table("trials.parquet", map(dataclasses.asdict, rows), TRIALS_SCHEMA)

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
        files = sorted(folder.glob("*.parquet")) if folder.exists() else []
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


def _order(trial: Trial) -> tuple[Any, ...]:
    return (
        trial.recipe,
        trial.width,
        trial.origin,
        trial.learning_rate,
        trial.weight_decay,
        trial.seed,
        trial.trial,
    )

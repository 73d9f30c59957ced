"""Anyone's table of results as trials: checked, and told what was taken for what."""

import collections
import dataclasses
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from transfer.errors import TransferError, nearest
from transfer.run_directory import Status, TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS
from transfer.sweeps.results.columns import find_columns
from transfer.sweeps.results.records import Record, column_names, read_records, source_name

_STATUSES: Mapping[str, Status | None] = {
    **dict.fromkeys(("completed", "complete", "finished", "success", "done"), "completed"),
    **dict.fromkeys(("diverged", "nan"), "diverged"),
    **dict.fromkeys(("failed", "crashed", "killed", "error"), "failed"),
    **dict.fromkeys(("running", "pending", "queued", "scheduled"), None),
}
_UNNAMED = "given"
# A forward pass of N parameters takes 2 N operations per token, and a backward pass twice as many.
_FLOPS_PER_PARAMETER_AND_TOKEN = 6


@dataclasses.dataclass(frozen=True)
class ResultsTable:
    """The trials of a table, and how they were read from it.

    Fields:
      name: of the table.
      trials: a row each.
      columns: the table's own name for each column of a trial.
      notes: what was taken for granted, a sentence each.
      digest: sha256 hex digest of what was read.
    """

    name: str
    trials: tuple[TrialResult, ...]
    columns: Mapping[str, str]
    notes: tuple[str, ...]
    digest: str


def trials(source: Any, columns: Mapping[str, str] | None = None) -> list[TrialResult]:
    """Return anyone's table of results as trials, for `Report.of_trials` and `transfer.analysis`.

    A row is one run: its width, learning rate and loss, and what else there is. A loss that is no
    finite number, or is missing, is that of a run that diverged.

    Arguments:
      source: a path of CSV, JSON lines, Parquet or Arrow, a pandas, polars or Arrow table, or a
        list of dictionaries, such as W&B and MLflow export.
      columns: the table's own names where they are not usual ones, such as
        `{"width": "model.dim"}`; an empty name leaves a column unread.

    Raises:
      TransferError: a column is missing, or a cell is not what its column holds.

    Example:
      >>> rows = [{"d_model": 64, "lr": 2.0**-k, "val_loss": 3.0 + (k - 6) ** 2} for k in (5, 6, 7)]
      >>> [(trial.width, trial.learning_rate, trial.eval_loss) for trial in trials(rows)][1]
      (64, 0.015625, 3.0)
    """
    return list(read_results(source, columns).trials)


def read_results(source: Any, columns: Mapping[str, str] | None = None) -> ResultsTable:
    """Return the trials of a table and how they were read; see `trials`."""
    name = source_name(source)
    records = read_records(source)
    found = find_columns(column_names(records), columns or {}, name)
    is_file = isinstance(source, str | epath.PathLike)
    recipe = printable(pathlib.PurePath(name).stem) if is_file else _UNNAMED
    rows = [_Row(name, number, record, found) for number, record in enumerate(records, 1)]
    running = [row for row in rows if row.status is None]
    kept = [row for row in rows if row.status is not None]
    if not any(row.status == "completed" for row in kept):
        raise TransferError(
            f"{name} has no run with a finite {found.get('eval_loss') or found['loss']} among its "
            f"{len(rows)}; expected some that completed."
        )
    seeds = _seeds(kept, "seed" in found)
    names = _names(kept, recipe)
    read = tuple(
        row.trial(each, seed, recipe) for row, each, seed in zip(kept, names, seeds, strict=True)
    )
    content = json.dumps(records, default=str, sort_keys=True).encode()
    notes = _notes(name, found, column_names(records), kept, len(running), seeds)
    return ResultsTable(name, read, found, notes, hashlib.sha256(content).hexdigest())


@dataclasses.dataclass(frozen=True)
class _Row:
    """A row of a table, read by the names of a trial's columns."""

    table: str
    number: int
    record: Record
    columns: Mapping[str, str]

    @property
    def objective(self) -> str:
        return "eval_loss" if "eval_loss" in self.columns else "loss"

    @property
    def lost(self) -> bool:
        """Whether it has no loss, and does not say why."""
        return self.value(self.objective) is None and not self.stated

    @property
    def stated(self) -> str:
        return self.text("status").lower()

    @property
    def status(self) -> Status | None:
        """How the run ended; None if it has not."""
        if self.stated and self.stated not in _STATUSES:
            raise self.wrong("status", f"one of {', '.join(_STATUSES)}", _STATUSES)
        ended = _STATUSES[self.stated or "completed"]
        loss = self.number_of(self.objective, math.nan)
        return "diverged" if ended == "completed" and not math.isfinite(loss) else ended

    def value(self, ours: str) -> Any:
        """A cell; None where it is empty or there is no such column."""
        found = self.record.get(self.columns[ours]) if ours in self.columns else None
        return None if isinstance(found, str) and not found.strip() else found

    def text(self, ours: str) -> str:
        """A cell as text of one line; empty where there is none."""
        found = self.value(ours)
        shown = "" if found is None else str(found).strip()
        return printable(shown)

    def number_of(self, ours: str, default: float) -> float:
        """A cell as a number, which may be infinite or no number."""
        found = self.value(ours)
        if found is None:
            return default
        try:
            if isinstance(found, bool):
                raise ValueError
            return float(found)
        except (TypeError, ValueError) as error:
            raise self.wrong(ours, "a number") from error

    def positive(self, ours: str, default: float, *, zero: bool = False) -> float:
        """A cell as a finite number above 0, or also 0."""
        found = self.number_of(ours, default)
        if not (0 < found < math.inf or (zero and found == 0)):
            raise self.wrong(ours, "a finite number " + ("of at least 0" if zero else "above 0"))
        return found

    def whole(self, ours: str, default: int, least: int = 0) -> int:
        """A cell as a whole number."""
        found = self.number_of(ours, default)
        if not math.isfinite(found) or found != int(found) or found < least:
            raise self.wrong(ours, f"a whole number of at least {least}")
        return int(found)

    def wrong(
        self, ours: str, expected: str, known: Mapping[str, Any] | None = None
    ) -> TransferError:
        """The error for a cell that does not hold what its column does."""
        found = self.value(ours)
        shown = "nothing" if found is None else repr(found)[:80]
        meant = nearest(str(found), known or {})
        return TransferError(
            f"{self.table} holds {shown} as {self.columns.get(ours, ours)} in row {self.number}"
            f"{meant}; expected {expected}."
        )

    def setting(self) -> tuple[Any, ...]:
        """What tells a run apart from others, but for its seed."""
        return (
            self.text("recipe"),
            self.whole("width", 0, least=1),
            self.positive("learning_rate", math.nan),
            self.positive("weight_decay", 0.0, zero=True),
            *(self.positive(name, 1.0) for name in MULTIPLIERS),
        )

    def trial(self, name: str, seed: int, recipe: str) -> TrialResult:
        """The row as a trial; what it does not tell is 0, empty or NaN."""
        status = self.status
        assert status is not None
        parameters, tokens = self.whole("parameters", 0), self.whole("tokens", 0)
        flops = _FLOPS_PER_PARAMETER_AND_TOKEN * float(parameters) * tokens
        kept = status == "completed"
        measured = {
            ours: self.number_of(ours, math.nan) if kept else math.nan
            for ours in ("loss", "eval_loss", "eval_accuracy")
        }
        named = self.text("recipe") or recipe
        width = self.whole("width", 0, least=1)
        return TrialResult(
            trial=name,
            group=f"width-{width}",
            origin="sweep",
            width=width,
            base_width=self.whole("base_width", 0),
            layers=self.whole("layers", 0),
            batch_size=self.whole("batch_size", 0),
            recipe=named,
            parametrization=named,
            rates="",
            decay_rule="",
            depth_rule="",
            horizon_rule="",
            clipping="",
            optimizer=self.text("optimizer"),
            learning_rate=self.positive("learning_rate", math.nan),
            weight_decay=self.positive("weight_decay", 0.0, zero=True),
            **{each: self.positive(each, 1.0) for each in MULTIPLIERS},
            seed=seed,
            steps=self.whole("steps", 0),
            tokens=tokens,
            trunk="",
            parameters=parameters,
            flops=self.positive("flops", flops, zero=True),
            status=status,
            **measured,
            objective=self.objective,
            decay_times=math.nan,
            wall_seconds=self.number_of("wall_seconds", math.nan),
            compile_seconds=math.nan,
            execution="",
        )


def printable(text: str) -> str:
    """Return text without what would steer a terminal.

    Example:
      >>> printable("a\\x1b[31m") == "a\\ufffd[31m"
      True
    """
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _seeds(rows: Sequence[_Row], given: bool) -> list[int]:
    """The seed of each row; without a column, its place among the rows of the same settings."""
    if given:
        return [row.whole("seed", 0) for row in rows]
    seen: collections.Counter[tuple[Any, ...]] = collections.Counter()
    seeds = []
    for row in rows:
        setting = row.setting()
        seeds.append(seen[setting])
        seen[setting] += 1
    return seeds


def _names(rows: Sequence[_Row], table: str) -> list[str]:
    """A name for each row: its own where it has one that no other row has."""
    own = [row.text("trial") for row in rows]
    times = collections.Counter(own)
    return [
        name if name and times[name] == 1 else f"{table} row {row.number}"
        for name, row in zip(own, rows, strict=True)
    ]


def _notes(
    table: str,
    found: Mapping[str, str],
    names: Sequence[str],
    rows: Sequence[_Row],
    running: int,
    seeds: Sequence[int],
) -> tuple[str, ...]:
    renamed = [f"{ours} from {theirs}" for ours, theirs in found.items() if ours != theirs]
    unread = [name for name in names if name and name not in found.values()]
    lost = sum(row.lost for row in rows)
    told = {
        f"{table}: {len(rows)} runs": True,
        f"read {', '.join(renamed)}": renamed,
        f"columns that were not read: {', '.join(unread)}": unread,
        f"{running} runs that have not ended are left out": running,
        f"{lost} runs without a loss count as diverged": lost,
        "runs of the same settings are told apart by their order, because there is no column of "
        "seeds": "seed" not in found and max(seeds, default=0),
    }
    return (f"{'; '.join(each for each, holds in told.items() if holds)}.",)

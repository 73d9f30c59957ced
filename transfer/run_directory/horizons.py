"""What was read off trunks, as trials of runs of each horizon's length."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from transfer.errors import TransferError, require_known
from transfer.run_directory.tables import TrialResult

HorizonKind = Literal["average", "branch"]
KINDS: tuple[HorizonKind, ...] = ("average", "branch")


@dataclasses.dataclass(frozen=True, order=True)
class ReadOff:
    """How trials were read off their trunks: the horizon in steps, and the kind.

    The kind is `average`, of the trunk's weights, or `branch`, whose rate fell to 0.

    Example:
      >>> str(ReadOff(400, "branch"))
      'branch at 400 steps'
    """

    steps: int
    kind: str

    def __post_init__(self) -> None:
        require_known("kind of horizon", self.kind, KINDS)

    def __str__(self) -> str:
        return f"{self.kind} at {self.steps} steps"


def found_horizons(rows: Sequence[TrialResult]) -> tuple[ReadOff, ...]:
    """Return what was read off the trunks among the rows of a table, short horizons first."""
    return tuple(sorted({ReadOff(row.steps, row.origin) for row in rows if row.trunk}))


def at_horizon(rows: Sequence[TrialResult], horizon: ReadOff) -> list[TrialResult]:
    """Return what was read off at a horizon as a sweep of its own: as runs of that length.

    Each trial has the origin of its trunk, and FLOPs of a run of its own; its wall time is unknown,
    because the trunk spent it.

    Raises:
      TransferError: nothing was read off there, or not in this way.

    Example:
      >>> at_horizon(rows, ReadOff(400, "average"))[0].steps  # doctest: +SKIP
      400
    """
    known = found_horizons(rows)
    if horizon not in known:
        there = ", ".join(map(str, known)) or "none, for training.horizons was empty"
        raise TransferError(f"Nothing was read off as {horizon}; expected one of these: {there}.")
    origins = {row.trial: row.origin for row in rows if not row.trunk}
    return [
        dataclasses.replace(row, origin=origins[row.trunk], trunk="")
        for row in rows
        if row.trunk and ReadOff(row.steps, row.origin) == horizon
    ]

"""Whether a program fits, and where it does not, the nearest settings by which it does."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from transfer.errors import TransferError
from transfer.plan.plan import Plan, make_plan
from transfer.plan.program import TooLargeError
from transfer.tpu.topology import Topology
from transfer.training import TrialGroup


@dataclasses.dataclass(frozen=True)
class Fit:
    """A group's program as configured or, where that is too large, the nearest that fits.

    Fields:
      plan: of what fits; None where nothing tried does.
      needed: bytes of a device that the program as configured takes, where that is too much.
      change: settings by which it fits, by key.
    """

    plan: Plan | None
    needed: float | None = None
    change: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether it does as configured."""
        return self.needed is None

    @property
    def flags(self) -> str:
        """The change as the command line takes it."""
        return " ".join(f"--config.{key}={value}" for key, value in self.change.items())

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return {
            "fits": self.fits,
            "needed": self.needed,
            "change": dict(self.change),
            "plan": self.plan.to_json() if self.plan else None,
        }


def fit(group: TrialGroup, topology: Topology) -> Fit:
    """Plan a group, on the nearest settings that fit if its own do not.

    At most six programs are compiled beside its own, each with one change more: all devices of
    `data` along `fsdp`, trials in turn, activations that are computed again, the batch in twice and
    four times as many parts. All give the same numbers as its own; a smaller batch is the last. A
    change that the mesh refuses is left out of those after it. Raises `TransferError` as
    `compile_group` does.
    """
    try:
        return Fit(make_plan(group, topology))
    except TooLargeError as error:
        too_large = error
    kept: dict[str, Any] = {}
    for change in _changes(group, too_large.mesh):
        tried = kept | change
        try:
            plan = make_plan(changed(group, tried), topology)
        except TooLargeError:
            kept = tried
        except TransferError:
            continue  # it does not divide
        else:
            return Fit(plan, too_large.needed, tried)
    return Fit(None, too_large.needed)


def changed(group: TrialGroup, change: Mapping[str, Any]) -> TrialGroup:
    """The group with settings, by their keys in a configuration, changed."""
    for key, value in change.items():
        section, name = key.split(".")
        part = dataclasses.replace(getattr(group, section), **{name: value})
        group = dataclasses.replace(group, **{section: part})
    return group


def _changes(group: TrialGroup, mesh: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    if mesh["data"] > 1:
        yield {"mesh.data": 1, "mesh.fsdp": mesh["data"] * mesh["fsdp"]}
    if len(group.trials) > mesh["trial"] and group.training.execution != "in_turn":
        yield {"training.execution": "in_turn"}
    if getattr(group.model, "remat", "full") != "full":
        yield {"model.remat": "full"}
    for factor in (2, 4):
        yield {"training.microbatches": factor * group.training.microbatches}
    yield {"data.batch_size": group.shape.batch_size // 2}

"""The plan of a whole sweep: each group's, how many trials fit at once, what all of it takes."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from transfer.plan.fitting import Fit, changed, fit
from transfer.plan.plan import Plan, make_plan
from transfer.plan.program import TooLargeError, slice_mesh
from transfer.tpu.topology import Topology
from transfer.training import TrialGroup


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """Plans of the groups in the order in which they run.

    `room` is, by width, how many trials the memory of the slice holds at once. `rounds` is how
    often each group is trained at most, with other points: once, but for an adaptive search.
    """

    topology: Topology
    groups: tuple[Fit, ...]
    room: dict[int, int]
    rounds: int = 1

    @property
    def chip_hours(self) -> float:
        """Of all rounds of the groups that fit, one after another, at the speed of the roofline."""
        return self.rounds * sum(found.plan.chip_hours for found in self.groups if found.plan)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return {
            "topology": str(self.topology),
            "fits": all(found.fits for found in self.groups),
            "groups": [found.to_json() for found in self.groups],
            "room": {str(width): trials for width, trials in self.room.items()},
            "rounds": self.rounds,
            "chip_hours": self.chip_hours,
        }


def plan_sweep(
    groups: Sequence[TrialGroup],
    topology: Topology,
    progress: Callable[[float], None] = lambda fraction: None,
    rounds: int = 1,
) -> SweepPlan:
    """Compile every group, and one of each width again with twice the trials.

    `rounds` is how often each is trained at most.

    Raises `TransferError` as `fit` does.
    """
    found, room = [], {}
    for done, group in enumerate(groups, 1):
        found.append(fit(group, topology))
        if (plan := found[-1].plan) and plan.width not in room:
            room[plan.width] = _room(changed(group, found[-1].change), plan)
        progress(done / len(groups))
    return SweepPlan(topology=topology, groups=tuple(found), room=room, rounds=rounds)


def _room(group: TrialGroup, plan: Plan) -> int:
    """How many trials fit at once: memory grows in a straight line with those of each device."""
    along = plan.mesh["trial"]
    each = math.ceil(plan.trials / along)
    trials = (group.trials * (2 * along * each))[: 2 * along * each]
    twice = dataclasses.replace(group, trials=trials)
    try:
        # More trials would be laid out otherwise, where devices are idle.
        mesh = slice_mesh(group, plan.topology)
        more = make_plan(twice, plan.topology, mesh)
    except TooLargeError:
        return along * each
    trial = (more.memory.total - plan.memory.total) / each
    left = plan.memory.limit - plan.memory.total
    return along * (each + math.floor(left / trial))

"""What this project wants to reach, as ratios of what was measured."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import quickstart, step, sweep
from benchmarks.results import Ratio

Measured = Mapping[str, Sequence[float]]

SIDE_BY_SIDE = {16: 0.6, 64: 0.9, 128: 1.1, 256: 1.1}
ALONE = {64: 1.2, 128: 1.2, 256: 1.2}
PEAK_SHARE = 0.6
# How many times as long each peer's sweep should take at least, by how everyone starts. Processes
# have the same goal whether they run one after another or in the fastest way that was found.
SWEEP = {
    sweep.COLD: {sweep.PROCESSES: 2.5, sweep.COMPILED: 1.3},
    sweep.WARM: {sweep.PROCESSES: 2.8, sweep.COMPILED: 1.5},
}
QUICKSTART = 0.6


@dataclasses.dataclass(frozen=True)
class Goal:
    """A ratio and its bound, which is the least that it should be unless it is the most."""

    what: str
    ratio: Ratio
    bound: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the ratio of medians keeps the bound."""
        found = self.ratio.median
        return found <= self.bound if self.at_most else found >= self.bound


def step_goals(part: Mapping[str, Any]) -> list[Goal]:
    """Of steps: this project's time over that of torch.compile, at most."""
    goals = []
    for name, bounds in ((step.SIDE_BY_SIDE, SIDE_BY_SIDE), (step.ALONE, ALONE)):
        for width, bound in bounds.items():
            if measured := part["cases"].get(f"width {width}"):
                ratio = Ratio.of(measured[name], measured[step.COMPILED])
                goals.append(Goal(f"{name}, width {width}", ratio, bound, at_most=True))
    return goals


def peak_share(part: Mapping[str, Any]) -> Goal | None:
    """How much of the rate of JAX's own products the products of a step have, at least."""
    case = f"width {step.WIDTHS[-1]}"
    if case not in part["cases"]:
        return None
    measured, flops = part["cases"][case], part["facts"][f"{case}: FLOPs of a step"]
    rates = [flops / (milliseconds * 1e6) for milliseconds in measured[step.SIDE_BY_SIDE]]
    return Goal("share of the peak", Ratio.of(rates, measured[step.PEAK]), PEAK_SHARE)


def sweep_goals(part: Mapping[str, Any]) -> list[Goal]:
    """Of sweeps: a peer's time over this project's, at least."""
    measured: Measured = part["cases"].get("seconds", {})
    found = []
    for start, peers in SWEEP.items():
        contenders = {f"{peer}, {start}": bound for peer, bound in peers.items()}
        for name, bound in (contenders | {sweep.IN_TURN: peers[sweep.PROCESSES]}).items():
            if name in measured:
                ratio = Ratio.of(measured[name], measured[f"{sweep.OURS}, {start}"])
                what = f"{name}, against {start}" if name == sweep.IN_TURN else name
                found.append(Goal(what, ratio, bound))
    return found


def quickstart_goal(part: Mapping[str, Any]) -> Goal | None:
    """Of the quickstart: this checkout's time over the other's, at most."""
    measured: Measured = part["cases"].get("seconds", {})
    if quickstart.BEFORE not in measured:
        return None
    ratio = Ratio.of(measured[quickstart.COLD], measured[quickstart.BEFORE])
    return Goal(quickstart.COLD, ratio, QUICKSTART, at_most=True)

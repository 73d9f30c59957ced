"""What a declared sweep takes here, beside tuning at the target, before anything is trained."""

import dataclasses
from collections.abc import Sequence

from transfer.config import Experiment
from transfer.run_directory import RunDirectory
from transfer.sweeps.groups import declared_groups, most_points
from transfer.sweeps.pace import Pace, measured_pace, recorded_pace
from transfer.sweeps.runner import unfinished
from transfer.training import TrialGroup, estimated_bytes, group_mesh, run_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupCost:
    """What the trials of one width take, in a ladder those of one rung.

    Fields:
      width, layers, batch_size, steps, parameters: of a run there.
      trials, done: how many there are, an adaptive search's at most, and how many of them are
        trained already.
      flops: of one trial.
      seconds: of one trial here, as its share of what the devices do.
      bytes: about what the group takes of each device.
    """

    width: int
    layers: int
    batch_size: int
    steps: int
    parameters: int
    trials: int
    done: int
    flops: float
    seconds: float
    bytes: float

    @property
    def left(self) -> int:
        """Trials to go."""
        return self.trials - self.done


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepCost:
    """What a sweep takes.

    Fields:
      groups: by increasing width, in a ladder by rung.
      target: what as many trials would take at the width of `model.width`; None where that is no
        wider than the sweep.
      pace: what the seconds are from.
      at_most: whether the search may end with fewer trials.
    """

    groups: tuple[GroupCost, ...]
    target: GroupCost | None
    pace: Pace
    at_most: bool = False

    @property
    def flops(self) -> float:
        """Of all trials."""
        return sum(group.trials * group.flops for group in self.groups)

    @property
    def seconds(self) -> float:
        """Of all trials, without compiling."""
        return sum(group.trials * group.seconds for group in self.groups)

    @property
    def seconds_left(self) -> float:
        """Of the trials that are still to be trained, without compiling."""
        return sum(group.left * group.seconds for group in self.groups)

    @property
    def ratio(self) -> float | None:
        """FLOPs of the sweep over those of as many trials at the target."""
        return self.flops / (self.target.trials * self.target.flops) if self.target else None


def sweep_cost(experiment: Experiment, run: RunDirectory | None = None) -> SweepCost:
    """Return what an experiment's sweep takes here; nothing is trained or written.

    Seconds are those that the run's own trials recorded on devices like these, and else those of a
    few steps, which compile two programs.

    Arguments:
      experiment: declares the sweep.
      run: what is done already.

    Raises:
      TransferError: the sweep cannot be run.

    Example:
      >>> sweep_cost(experiment).ratio  # doctest: +SKIP
      0.23
    """
    groups = declared_groups(experiment)
    pace = _pace(groups, run)
    sweep = experiment.sweep
    trials = most_points(sweep) * len(sweep.recipes) * len(sweep.seeds)
    trained = run.trials() if run else []
    missing = {group.shape: group for group in unfinished(run, groups)} if run else {}
    costs = []
    for group in groups:
        width = group.shape.width
        if sweep.search == "adaptive":
            names = set(map(str, group.recipes))
            mine = [t for t in trained if t.origin == "sweep" and t.width == width]
            done = sum(trial.recipe in names for trial in mine)
        else:
            left = len(missing[group.shape].trials) if group.shape in missing else 0
            done = len(group.trials) - left if run else 0
        costs.append(group_cost(group, pace, trials, done))
    target = experiment.group(experiment.model.width, groups[-1].trials)
    is_wider = experiment.model.width > groups[-1].shape.width
    at_target = group_cost(target, pace, trials)
    return SweepCost(
        groups=tuple(costs),
        target=at_target if is_wider else None,
        pace=pace,
        at_most=sweep.search == "adaptive",
    )


def group_cost(group: TrialGroup, pace: Pace, trials: int, done: int = 0) -> GroupCost:
    """Return what so many trials of a group's shape take at a pace."""
    parameters, flops = run_size(group)
    shape = group.shape
    all_steps = shape.steps + group.training.all_branch_steps
    return GroupCost(
        width=shape.width,
        layers=shape.layers,
        batch_size=shape.batch_size,
        steps=shape.steps,
        parameters=parameters,
        trials=trials,
        done=done,
        flops=flops * (all_steps / shape.steps),
        seconds=all_steps * pace.seconds(shape.width, flops / shape.steps),
        bytes=estimated_bytes(group, group_mesh(group)),
    )


def _pace(groups: Sequence[TrialGroup], run: RunDirectory | None) -> Pace:
    if run is not None and (trials := run.trials()):
        devices = (run.config() or {}).get("provenance", {}).get("devices")
        branches = groups[0].training.all_branch_steps
        timed = [dataclasses.replace(trial, steps=trial.steps + branches) for trial in trials]
        if found := recorded_pace(timed, devices):
            return found
    return measured_pace(groups)

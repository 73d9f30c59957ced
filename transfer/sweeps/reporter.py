"""What is told about the work while it goes on."""

from collections.abc import Sequence

from transfer.run_directory import TrialResult
from transfer.training import TrialGroup


class Reporter:
    """Is told about the work while it goes on, and does nothing; override what is to be heard.

    Amounts of work are in arbitrary units.
    """

    def begin(self, work: float, groups: int, done: int, missing: int) -> None:
        """The work begins: how much there is, in how many groups, and trials done and missing."""

    def start(self, group: TrialGroup, work: float) -> None:
        """A group begins to compile; `work` is its share of all that is left."""

    def compiled(self, group: TrialGroup, fraction: float) -> None:
        """The group begins to train, and resumes where this fraction is done already."""

    def step(self, group: TrialGroup, fraction: float, loss: float) -> None:
        """This fraction of the group is done; `loss` is the median over its trials."""

    def finish(self, group: TrialGroup, trials: Sequence[TrialResult]) -> None:
        """The group is in the run directory."""

    def wait(self, group: TrialGroup, what: str) -> None:
        """The group begins only when a cluster has `what` to run it on."""

    def split(self, group: TrialGroup, parts: Sequence[TrialGroup], reason: str) -> None:
        """The parts, which begin by themselves, are trained instead of the group."""

    def lose(self, group: TrialGroup) -> None:
        """A process of the group is gone; the group runs again from its last checkpoint."""


def group_line(group: TrialGroup, trials: Sequence[TrialResult]) -> str:
    """Return a group's outcome on a line: its trials, how many diverged, the best loss, seconds."""
    trials = [trial for trial in trials if not trial.trunk]
    completed = [trial for trial in trials if trial.status == "completed"]
    best = min((trial.objective_value for trial in completed), default=None)
    diverged = sum(trial.status == "diverged" for trial in trials)
    stopped = sum(trial.status == "stopped" for trial in trials)
    return (
        f"{group.recipe_names:<10} width {group.shape.width:>4}  "
        f"{f'{group.rung}  ' if group.rung else ''}{len(trials):>3} trials"
        f"{f', {diverged} diverged' if diverged else ''}"
        f"{f', {stopped} stopped early' if stopped else ''}  "
        f"{'no trial completed' if best is None else f'best loss {best:.3f}'}  "
        f"{sum(trial.wall_seconds for trial in trials):.0f} s, "
        f"{sum(trial.compile_seconds for trial in trials):.0f} of them compiling"
    )


def split_line(group: TrialGroup, parts: Sequence[TrialGroup], reason: str) -> str:
    """Say on a line into how many parts a group is cut, and why."""
    return (
        f"{group}: {len(group.trials)} trials in {len(parts)} parts of "
        f"{len(parts[0].trials)}, because {reason}."
    )


class Lines(Reporter):
    """Prints a line for each group that is done."""

    def split(self, group: TrialGroup, parts: Sequence[TrialGroup], reason: str) -> None:
        """Print why the group is trained in parts."""
        print(split_line(group, parts, reason), flush=True)

    def finish(self, group: TrialGroup, trials: Sequence[TrialResult]) -> None:
        """Print the group's line."""
        print(group_line(group, trials), flush=True)

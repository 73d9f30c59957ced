"""A word for every group that is done."""

from collections.abc import Sequence

from transfer.run_directory import Trial
from transfer.sweeps.groups import Group


def group_line(group: Group, trials: Sequence[Trial]) -> str:
    """Return a group's outcome on a line: how many trials, how many diverged, the best loss."""
    completed = [trial for trial in trials if trial.status == "completed"]
    best = min((trial.objective_value for trial in completed), default=None)
    diverged = len(trials) - len(completed)
    return (
        f"{group.recipe:<10} width {group.width:>4}  {len(trials):>3} trials"
        f"{f', {diverged} diverged' if diverged else ''}  "
        f"{'no trial completed' if best is None else f'best loss {best:.3f}'}  "
        f"{sum(trial.wall_seconds for trial in trials):.0f} s"
    )


class Lines:
    """A `Reporter` that prints a line for each group that is done."""

    def start(self, group: Group, work: float) -> None:
        """Nothing to say yet."""

    def step(self, group: Group, fraction: float, loss: float) -> None:
        """Nothing to say yet."""

    def finish(self, group: Group, trials: Sequence[Trial]) -> None:
        """Print the group's line."""
        print(group_line(group, trials), flush=True)

"""What a person sees while the work goes on."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from transfer.config import Experiment
from transfer.run_directory import RunDirectory, Trial
from transfer.sweeps import TrialGroup, group_line, unfinished, work

Result = TypeVar("Result")

# No markup or emoji codes: a path may hold brackets and colons.
console = Console(highlight=False, markup=False, emoji=False)


def say(sentence: str) -> None:
    """Print a sentence, wrapped at words in a terminal and on one line in a file."""
    console.print(sentence, soft_wrap=not console.is_terminal)


class _Warnings(logging.Handler):
    """Prints what the library warns of as it prints all else."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


logging.getLogger("transfer").addHandler(_Warnings())
logging.getLogger("transfer").propagate = False


def _bar(transient: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
        transient=transient,
    )


class SweepProgress:
    """A bar over all groups with the time left, and a line for each group that is done."""

    def __init__(self, total: float):
        self._bar = _bar()
        self._task = self._bar.add_task("", total=total)
        self._done = 0.0
        self._shares: dict[TrialGroup, float] = {}
        self._fractions: dict[TrialGroup, float] = {}

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, group: TrialGroup, work: float) -> None:
        """See `Reporter`."""
        self._shares[group], self._fractions[group] = work, 0.0
        self._show(f"{_name(group)} compiling")

    def step(self, group: TrialGroup, fraction: float, loss: float) -> None:
        """See `Reporter`."""
        self._fractions[group] = fraction
        self._show(f"{_name(group)} loss {loss:.3f}")

    def wait(self, group: TrialGroup, what: str) -> None:
        """See `ClusterReporter`."""
        say(f"{_name(group)} waits for {what}, which no machine of the cluster has so far.")

    def lose(self, group: TrialGroup) -> None:
        """See `ClusterReporter`."""
        say(f"{_name(group)} lost a worker and runs again from its last checkpoint.")

    def finish(self, group: TrialGroup, trials: Sequence[Trial]) -> None:
        """See `Reporter`."""
        self._done += self._shares.pop(group)
        del self._fractions[group]
        self._show()
        say(group_line(group, trials))

    def _show(self, newest: str = "") -> None:
        """Move the bar, and say the newest of what is going on."""
        begun = sum(share * self._fractions[group] for group, share in self._shares.items())
        others = len(self._shares) - 1
        description = newest + (f" and {others} more" if others > 0 and newest else "")
        self._bar.update(self._task, completed=self._done + begun, description=description or None)


def _name(group: TrialGroup) -> str:
    return f"{group.recipe} width {group.width}"


@contextlib.contextmanager
def measuring(what: str) -> Iterator[Callable[[float], None]]:
    """A bar for work whose parts report the fraction done."""
    with _bar(transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def with_progress(
    run: RunDirectory,
    experiment: Experiment,
    groups: Sequence[TrialGroup],
    function: Callable[[SweepProgress], Result],
) -> Result:
    """Call a function with a bar sized to what is missing of the groups."""
    missing = unfinished(run, experiment, groups)
    trials = sum(len(group.trials) for group in missing)
    kept = sum(len(group.trials) for group in groups) - trials
    if kept:
        say(f"{kept} trials are done already, {trials} to go.")
    with SweepProgress(sum(work(experiment, group) for group in missing)) as progress:
        return function(progress)


def show_verdict(run: RunDirectory, verdict: Mapping[str, Any]) -> None:
    """Print the verdict as a table, and where its page and figures are."""
    from transfer.report import verdict_table

    console.print()
    console.print(verdict_table(verdict))
    figures = ", ".join(sorted(file.name for file in run.report.glob("*.png")))
    say(
        f"Verdict: {run.report}/verdict.json. Beside it report.html, to open in a browser, and "
        f"figures: {figures}."
    )

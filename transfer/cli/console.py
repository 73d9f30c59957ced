"""What a person sees while the work goes on."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from transfer.cli.time_left import TimeLeft, in_words
from transfer.run_directory import RunDirectory, TrialResult
from transfer.sweeps import Reporter, group_line, split_line
from transfer.training import TrialGroup

if TYPE_CHECKING:
    from transfer.analysis import AdviceText, SweepVerdict


class _Console(Console):
    """A console that says by an exception that nobody reads it any more, as `print` does."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


# No markup or emoji codes: a path may hold brackets and colons.
console = _Console(highlight=False, markup=False, emoji=False)


def say(said: "str | AdviceText") -> None:
    """Print a sentence, wrapped at words in a terminal and on one line in a file."""
    if console.is_terminal:
        console.print(said)
    else:
        console.print(str(said), soft_wrap=True)


def _bar(time_left: ProgressColumn, transient: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        time_left,
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
        transient=transient,
    )


class _SecondsLeft(ProgressColumn):
    """The time left as `TimeLeft` estimates it, which knows of compiling."""

    def __init__(self, time_left: TimeLeft):
        self._time_left = time_left
        super().__init__()

    def render(self, task: Task) -> Text:
        """Show minutes and seconds."""
        seconds = self._time_left.seconds()
        if seconds is None:
            return Text("-:--", style="progress.remaining")
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        shown = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
        return Text(shown, style="progress.remaining")


class SweepProgress(Reporter):
    """A bar over all groups with the time left, and a line for each group that is done.

    Without a terminal there is no bar, and each line says the time left.

    Arguments:
      opening: a sentence that is said when the work begins, instead of how much is done already.
    """

    def __init__(self, opening: str = ""):
        self._opening = opening
        self._time_left = TimeLeft()
        self._bar = _bar(_SecondsLeft(self._time_left))
        self._task: TaskID | None = None
        self._total = self._done = 0.0
        self._shares: dict[TrialGroup, float] = {}
        self._fractions: dict[TrialGroup, float] = {}

    def __enter__(self) -> "SweepProgress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._bar.stop()

    def begin(self, work: float, groups: int, done: int, missing: int) -> None:
        """See `Reporter`; work that was announced before is not counted twice."""
        self._time_left.announce(work, groups)
        self._total = max(self._total, self._done + work)
        if self._task is not None:
            self._bar.update(self._task, total=self._total)
            return
        if self._opening:
            say(self._opening)
        elif done:
            say(f"{done} trials are done already, {missing} to go.")
        self._task = self._bar.add_task("", total=self._total)
        self._bar.start()

    def start(self, group: TrialGroup, work: float) -> None:
        """See `Reporter`."""
        self._time_left.start(group, work)
        self._shares[group], self._fractions[group] = work, 0.0
        self._show(f"{group} compiling")

    def compiled(self, group: TrialGroup, fraction: float) -> None:
        """See `Reporter`."""
        self._time_left.compiled(group, fraction)
        self._fractions[group] = fraction
        self._show(f"{group} training")

    def step(self, group: TrialGroup, fraction: float, loss: float) -> None:
        """See `Reporter`."""
        self._time_left.step(group, fraction)
        self._fractions[group] = fraction
        self._show(f"{group} loss {loss:.3f}")

    def wait(self, group: TrialGroup, what: str) -> None:
        """See `Reporter`."""
        say(f"{group} waits for {what}, which no machine of the cluster has so far.")

    def split(self, group: TrialGroup, parts: Sequence[TrialGroup], reason: str) -> None:
        """See `Reporter`."""
        self._time_left.split(group, len(parts))
        self._shares.pop(group, None)
        self._fractions.pop(group, None)
        say(split_line(group, parts, reason))

    def lose(self, group: TrialGroup) -> None:
        """See `Reporter`."""
        say(f"{group} lost a worker and runs again from its last checkpoint.")

    def finish(self, group: TrialGroup, trials: Sequence[TrialResult]) -> None:
        """See `Reporter`."""
        self._done += self._shares.pop(group)
        del self._fractions[group]
        self._time_left.finish(group)
        self._show()
        seconds = self._time_left.seconds()
        left = "" if console.is_terminal or not seconds else f", {in_words(seconds)} left"
        say(group_line(group, trials) + left)

    def _show(self, newest: str = "") -> None:
        """Move the bar, and say the newest of what is going on."""
        begun = sum(share * self._fractions[group] for group, share in self._shares.items())
        others = len(self._shares) - 1
        description = newest + (f" and {others} more" if others > 0 and newest else "")
        if self._task is not None:
            completed = self._done + begun
            self._bar.update(self._task, completed=completed, description=description or None)


@contextlib.contextmanager
def measuring(what: str) -> Iterator[Callable[[float], None]]:
    """A bar for work whose parts report the fraction done."""
    with _bar(TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def show_verdict(run: RunDirectory, verdict: "SweepVerdict", folder: str = "report") -> None:
    """Print what to do, the verdict with its tables, and where its page and figures are.

    A terminal of any width wraps it at words; a file gets each sentence on a line of its own.
    """
    from transfer.report import verdict_table, verdict_text

    console.print()
    if console.is_terminal:
        console.print(verdict_table(verdict))
    else:
        say(verdict_text(verdict))
    where = run.path / folder
    figures = ", ".join(sorted(file.name for file in where.iterdir() if file.suffix == ".png"))
    say(
        f"Verdict: {where}/verdict.json. Beside it report.html, to open in a browser, and "
        f"figures: {figures}."
    )

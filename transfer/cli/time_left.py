"""How long a sweep still takes: its groups are compiled, and then trained."""

import dataclasses
import time
from collections.abc import Callable, Hashable


@dataclasses.dataclass
class _Running:
    """A group on its way; `since` is when its phase began or it was last heard of."""

    work: float
    since: float
    compiled: bool = False
    fraction: float = 0.0
    trained_work: float = 0.0
    trained_seconds: float = 0.0


class TimeLeft:
    """Estimates the seconds left from how long groups took to compile and to train so far.

    A group that waits is expected to compile as long as the others did on average, and every unit
    of work to train as long as it did on average. The seconds of the phase that a running group is
    in count down between two words of it.

    Arguments:
      clock: gives the time in seconds.

    Example:
      >>> now = 0.0
      >>> left = TimeLeft(clock=lambda: now)
      >>> left.announce(work=20.0, groups=2)
      >>> left.start("first", 10.0); now = 8.0; left.compiled("first", 0.0); left.seconds() is None
      True
      >>> now = 9.0; left.step("first", 0.5)
      >>> left.seconds()  # 5 units of this group and 10 of the next, at 0.2 s, and 8 s to compile
      11.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._work = self._finished_work = 0.0
        self._groups = self._finished_groups = 0
        self._running: dict[Hashable, _Running] = {}
        self._compile_seconds: list[float] = []
        self._trained_work = self._trained_seconds = 0.0

    def announce(self, work: float, groups: int) -> None:
        """There is so much to do; what was announced before is not counted twice."""
        self._work = max(self._work, self._finished_work + work)
        self._groups = max(self._groups, self._finished_groups + groups)

    def start(self, group: Hashable, work: float) -> None:
        """A group begins to compile."""
        self._running[group] = _Running(work, self._clock())

    def compiled(self, group: Hashable, fraction: float) -> None:
        """A group begins to train, of which this fraction is done already."""
        running, now = self._running[group], self._clock()
        self._compile_seconds.append(now - running.since)
        running.compiled, running.since, running.fraction = True, now, fraction

    def step(self, group: Hashable, fraction: float) -> None:
        """This fraction of a group is done."""
        running, now = self._running[group], self._clock()
        if running.compiled:
            work, seconds = (fraction - running.fraction) * running.work, now - running.since
            running.trained_work += work
            running.trained_seconds += seconds
            self._trained_work += work
            self._trained_seconds += seconds
        running.compiled, running.since, running.fraction = True, now, fraction

    def split(self, group: Hashable, parts: int) -> None:
        """A group that began is trained in parts instead, which begin by themselves."""
        self._running.pop(group, None)
        self._groups += parts - 1

    def finish(self, group: Hashable) -> None:
        """A group is done."""
        self._finished_work += self._running.pop(group).work
        self._finished_groups += 1

    def seconds(self) -> float | None:
        """Return the seconds left; None before a group has compiled and trained for a while."""
        if not self._trained_work or not self._compile_seconds:
            return None
        to_compile = sum(self._compile_seconds) / len(self._compile_seconds)
        to_train = self._trained_seconds / self._trained_work  # a unit of work
        # Parts that an earlier run has begun were announced as the group that they are of.
        groups = max(0, self._groups - self._finished_groups - len(self._running))
        work = self._work - self._finished_work - sum(each.work for each in self._running.values())
        left = groups * to_compile + work * to_train
        for each in self._running.values():
            passed = self._clock() - each.since
            if not each.compiled:
                left += max(0.0, to_compile - passed) + each.work * to_train
                continue
            # Widths differ from what `work` expects of them; its own pace is better known.
            pace = each.trained_seconds / each.trained_work if each.trained_work else to_train
            left += max(0.0, (1 - each.fraction) * each.work * pace - passed)
        # Groups of a cluster run side by side.
        return left / max(1, len(self._running))


def in_words(seconds: float) -> str:
    """Say about how long that is.

    Example:
      >>> in_words(34), in_words(100), in_words(9000)
      ('about 30 s', 'about 2 min', 'about 2.5 h')
    """
    if seconds < 60:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"

"""The bar over a sweep, and what is said beside it."""

import pytest

from transfer.cli.console import SweepProgress


class Group:
    """A group whose name alone matters."""

    def __str__(self):
        return "mup+sqrt at width 8"


@pytest.fixture
def bar(monkeypatch):
    """The share done and the total, as the bar was last told."""

    def told(progress):
        (task,) = progress._bar.tasks
        return task.completed, task.total

    monkeypatch.setattr("transfer.cli.console.group_line", lambda group, trials: "done")
    return told


def test_work_that_was_announced_is_not_counted_twice(bar, capsys):
    """A sweep with its target to follow, and then the target, which took twice the groups."""
    sweep, *targets = Group(), Group(), Group()
    with SweepProgress() as progress:
        progress.begin(work=10.0, groups=3, done=0, missing=6)
        progress.start(sweep, 6.0)
        progress.step(sweep, 0.5, 1.0)
        assert bar(progress) == (3.0, 10.0)
        progress.finish(sweep, [])
        for total, target in zip((10.0, 14.0), targets, strict=True):
            progress.begin(work=4.0, groups=1, done=0, missing=1)
            assert bar(progress)[1] == total
            progress.start(target, 4.0)
            progress.finish(target, [])
        assert bar(progress) == (14.0, 14.0)
    assert capsys.readouterr().out.splitlines() == ["done"] * 3


@pytest.mark.parametrize(
    ("opening", "done", "said"),
    [
        ("", 0, []),
        ("", 4, ["4 trials are done already, 2 to go."]),
        ("First the proxies.", 4, ["First the proxies."]),
    ],
)
def test_what_is_done_already_is_said_once(opening, done, said, capsys):
    with SweepProgress(opening) as progress:
        for _ in range(2):
            progress.begin(work=1.0, groups=1, done=done, missing=2)
    assert capsys.readouterr().out.splitlines() == said


def test_compiling_is_a_phase_of_its_own(bar):
    group = Group()
    with SweepProgress() as progress:
        progress.begin(work=1.0, groups=1, done=0, missing=1)
        (task,) = progress._bar.tasks
        shown = []
        progress.start(group, 1.0)
        shown.append(task.description)
        progress.compiled(group, 0.0)
        shown.append(task.description)
        progress.step(group, 0.5, 2.0)
        shown.append(task.description)
    assert shown == [f"{group} {phase}" for phase in ("compiling", "training", "loss 2.000")]


def test_without_a_terminal_each_line_says_the_time_left(bar, capsys):
    first, second = Group(), Group()
    with SweepProgress() as progress:
        now = 0.0
        progress._time_left._clock = lambda: now
        progress.begin(work=2.0, groups=2, done=0, missing=2)
        for group in (first, second):
            progress.start(group, 1.0)
            now += 40.0
            progress.compiled(group, 0.0)
            now += 80.0
            progress.step(group, 1.0, 2.0)
            progress.finish(group, [])
    assert capsys.readouterr().out.splitlines() == ["done, about 2 min left", "done"]


def test_nothing_is_said_of_work_that_never_began(capsys):
    with pytest.raises(KeyError), SweepProgress("First the proxies."):
        raise KeyError
    assert capsys.readouterr().out == ""

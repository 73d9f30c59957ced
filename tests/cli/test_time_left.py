"""The time left: exact where groups are alike, and without a jump where compiling ends."""

import pytest

from transfer.cli.time_left import TimeLeft

COMPILE, PACE, WORK, GROUPS = 7.0, 0.5, 10.0, 4


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def told(left, clock, group, *, compile_seconds=COMPILE, pace=PACE, work=WORK):
    """Go through a group and yield after each word of it, and between them."""
    left.start(group, work)
    for _ in range(7):
        clock.now += compile_seconds / 7
        yield
    left.compiled(group, 0.0)
    yield
    for step in range(1, 11):
        for _ in range(2):
            clock.now += pace * work / 20
            yield
        left.step(group, step / 10)
        yield
    left.finish(group)
    yield


def test_of_groups_alike_it_is_exact_from_the_first_steps_on():
    clock = Clock()
    left = TimeLeft(clock)
    left.announce(GROUPS * WORK, GROUPS)
    whole = GROUPS * (COMPILE + PACE * WORK)
    heard = 0
    for group in range(GROUPS):
        for _ in told(left, clock, group):
            if (seconds := left.seconds()) is not None:
                heard += 1
                assert seconds == pytest.approx(whole - clock.now, abs=1e-9)
    # All but what came before the first steps were done.
    assert heard == GROUPS * 39 - 10


def test_a_group_that_compiles_for_longer_or_shorter_moves_it_by_that_alone():
    for other in (2.0, 12.0):
        clock = Clock()
        left = TimeLeft(clock)
        left.announce(2 * WORK, 2)
        for _ in told(left, clock, "first"):
            pass
        before, began = left.seconds(), clock.now
        assert before == pytest.approx(COMPILE + PACE * WORK)
        story = told(left, clock, "second", compile_seconds=other)
        for _ in range(8):
            next(story)
        # What is left is to train; it never grew on the way.
        assert left.seconds() == pytest.approx(PACE * WORK)
        assert clock.now - began == pytest.approx(other)


def test_what_was_done_before_counts_for_no_pace():
    clock = Clock()
    left = TimeLeft(clock)
    left.announce(WORK, 1)
    left.start("resumed", WORK)
    clock.now = 3.0
    left.compiled("resumed", 0.8)
    clock.now = 4.0
    left.step("resumed", 0.9)
    assert left.seconds() == pytest.approx(1.0)


def test_groups_side_by_side_take_half_as_long():
    clock = Clock()
    left = TimeLeft(clock)
    left.announce(2 * WORK, 2)
    for group in (0, 1):
        left.start(group, WORK)
    clock.now = COMPILE
    for group in (0, 1):
        left.compiled(group, 0.0)
    clock.now += PACE * WORK / 2
    for group in (0, 1):
        left.step(group, 0.5)
    assert left.seconds() == pytest.approx(PACE * WORK / 2)


def test_what_was_announced_is_not_counted_twice():
    clock = Clock()
    left = TimeLeft(clock)
    left.announce(2 * WORK, 2)
    for _ in told(left, clock, "sweep"):
        pass
    one = left.seconds()
    left.announce(WORK, 1)
    assert left.seconds() == pytest.approx(one)
    left.announce(2 * WORK, 2)
    assert left.seconds() == pytest.approx(2 * one)


def test_a_group_that_is_trained_in_parts_is_compiled_for_each_and_counts_once():
    clock = Clock()
    left = TimeLeft(clock)
    left.announce(work=2 * WORK, groups=2)
    for _ in told(left, clock, "narrow"):
        pass
    left.start("wide", WORK)
    clock.now += COMPILE
    left.split("wide", 2)

    assert left.seconds() == pytest.approx(2 * COMPILE + PACE * WORK)
    for part in ("wide, first", "wide, second"):
        for _ in told(left, clock, part, work=WORK / 2):
            pass
    assert left.seconds() == pytest.approx(0.0)

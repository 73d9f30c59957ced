import pytest

from transfer.training.pace import SECONDS, Pace


@pytest.mark.parametrize(
    ("each", "expected"), [(1e-6, 50), (0.1, 50), (0.5, 10), (2.0, 2), (5.0, 1), (60.0, 1)]
)
def test_steps_are_as_many_as_fit_between_two_looks(each, expected):
    pace = Pace(most=50)
    assert pace.steps == 1  # whose duration nobody knows
    for _ in range(3):
        pace.took(pace.steps, pace.steps * each)
        assert pace.steps == expected
        assert pace.steps * each <= SECONDS or pace.steps == 1


def test_steps_that_become_slow_are_fewer():
    pace = Pace(most=50)
    pace.took(1, 0.0)
    assert pace.steps == 50
    pace.took(50, 500.0)
    assert pace.steps == 1

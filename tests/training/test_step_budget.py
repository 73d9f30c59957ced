import pytest

from transfer.training.step_budget import SECONDS, StepBudget


@pytest.mark.parametrize(
    ("each", "expected"), [(1e-6, 50), (0.1, 50), (0.5, 10), (2.0, 2), (5.0, 1), (60.0, 1)]
)
def test_steps_are_as_many_as_fit_between_two_looks(each, expected):
    budget = StepBudget(most=50)
    assert budget.steps == 1  # whose duration nobody knows
    for _ in range(3):
        budget.took(budget.steps, budget.steps * each)
        assert budget.steps == expected
        assert budget.steps * each <= SECONDS or budget.steps == 1


def test_steps_that_become_slow_are_fewer():
    budget = StepBudget(most=50)
    budget.took(1, 0.0)
    assert budget.steps == 50
    budget.took(50, 500.0)
    assert budget.steps == 1

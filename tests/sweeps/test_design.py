"""What a sweep takes and which one to run, on paces and costs that are known."""

import dataclasses
import itertools
import math

import pytest
from refusals import refused

from transfer.analysis import ExpectedBowl
from transfer.config import SearchSpace, read
from transfer.sweeps import GroupCost, propose, sweep_cost
from transfer.sweeps.design import expected_regret
from transfer.sweeps.pace import Pace, Timed, described_devices, measured_pace, recorded_pace

EXPERIMENT = read(
    {
        "base_width": 16,
        "model": {"width": 256, "head_dim": 8},
        "training": {"steps": 400, "warmup": 40},
        "sweep": {
            "widths": (16, 32),
            "recipes": ("mup+sqrt",),
            "space": {"learning_rate": (2.0**-6, 2.0**-5)},
        },
    }
)


def cost(width, steps):
    """FLOPs grow as the square of the width; 10^9 take a second."""
    flops = float(width**2 * steps)
    return GroupCost(
        width=width,
        layers=3,
        batch_size=16,
        steps=steps,
        parameters=width**2,
        trials=1,
        done=0,
        flops=flops,
        seconds=flops / 1e9,
        bytes=1.0,
    )


def test_the_expected_regret_is_that_of_simulated_parabolas():
    """Half the curvature times the squared error of a vertex through three noisy points."""
    import numpy as np

    bowl = ExpectedBowl(curvature=0.03, noise=0.001, drift=0.1)
    generator = np.random.default_rng(0)
    rates = np.array([-1.0, 0.0, 1.0])
    losses = 0.015 * rates**2 + generator.normal(0, 0.001 / math.sqrt(3), (20000, 3))
    parabolas = np.polyfit(rates, losses.T, 2)
    errors = -parabolas[1] / (2 * parabolas[0]) + generator.normal(0, 0.1 * 2, 20000)
    regret, error = expected_regret(
        1.0, 3, octaves=2.0, shortening=0.0, has_horizon_rule=False, bowl=bowl
    )

    assert error == pytest.approx(errors.std(), rel=0.02)
    assert regret == pytest.approx(0.015 * (errors**2).mean(), rel=0.03)


def test_a_larger_budget_never_expects_more_regret():
    budgets = [cost(128, 400).flops * k for k in (1, 3, 10, 30, 100, 1000)]
    found = [propose(EXPERIMENT, cost, budget_flops=budget) for budget in budgets]

    assert all(each.flops <= budget for each, budget in zip(found, budgets, strict=True))
    regrets = [each.regret for each in found]
    assert all(later <= earlier + 1e-4 for earlier, later in itertools.pairwise(regrets))
    assert regrets[-1] < regrets[0] / 3
    assert max(found[-1].widths) == 128


def test_a_proposal_counts_its_own_trials():
    found = propose(EXPERIMENT, cost, budget_flops=1e9)
    each = found.rates * found.seeds

    assert found.trials == each * len(found.widths)
    assert found.flops == each * sum(cost(width, found.steps).flops for width in found.widths)
    assert found.seconds == pytest.approx(found.flops / 1e9)
    assert all(256 % width == 0 and width < 256 for width in found.widths)


def test_time_bounds_as_flops_do():
    by_time = propose(EXPERIMENT, cost, budget_seconds=2.0)
    assert by_time == propose(EXPERIMENT, cost, budget_flops=2e9)


def test_a_recipe_with_a_rule_for_the_horizon_takes_shorter_runs():
    """Where the best rate is thought to move with length and nothing follows it, length is kept."""
    ruled = dataclasses.replace(
        EXPERIMENT, recipe=dataclasses.replace(EXPERIMENT.recipe, horizon="sde")
    )
    budget = cost(128, 400).flops * 8
    unruled_design = propose(EXPERIMENT, cost, budget_flops=budget)
    ruled_design = propose(ruled, cost, budget_flops=budget)

    assert ruled_design.regret <= unruled_design.regret
    assert unruled_design.steps == 400


def test_what_no_sweep_costs_is_refused_with_the_cheapest():
    with refused("256", "cheapest"):
        propose(EXPERIMENT, cost, budget_flops=1.0)


def test_a_target_without_narrower_models_is_refused():
    smallest = dataclasses.replace(EXPERIMENT, model=dataclasses.replace(EXPERIMENT.model, width=8))
    with refused("8", "wider target"):
        propose(smallest, cost)


def test_a_pace_is_a_line_between_widths_and_never_faster_than_seen():
    pace = Pace((Timed(16, 0.002, 1e6), Timed(64, 0.004, 9e6)), "measured")

    assert pace.seconds(16, 1e6) == 0.002
    assert pace.seconds(32, 5e6) == pytest.approx(0.003)
    assert pace.seconds(128, 33e6) == pytest.approx(0.010)
    assert Pace((Timed(16, 0.002, 1e6),), "measured").seconds(32, 3e6) == pytest.approx(0.006)


def test_only_trials_of_devices_like_these_are_a_record():
    assert recorded_pace([], described_devices()) is None
    assert recorded_pace([], ["tpu: v5"]) is None


@pytest.mark.full
def test_a_few_steps_are_timed_at_the_narrowest_and_the_widest_width():
    from transfer.sweeps import declared_groups

    pace = measured_pace(declared_groups(EXPERIMENT))

    assert [timed.width for timed in pace.timed] == [16, 32]
    assert all(0 < timed.seconds < 1 for timed in pace.timed)
    assert pace.timed[1].flops > pace.timed[0].flops


def test_an_adaptive_search_is_counted_by_its_cap(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "transfer.sweeps.cost.measured_pace",
        lambda groups: Pace((Timed(16, 0.002, 1e6), Timed(32, 0.004, 9e6)), "measured"),
    )
    sweep = dataclasses.replace(
        EXPERIMENT.sweep,
        search="adaptive",
        population=4,
        trials=20,
        seeds=(0, 1),
        space=SearchSpace(learning_rate=(2.0**-8, 2.0**-3)),
    )
    adaptive = sweep_cost(dataclasses.replace(EXPERIMENT, sweep=sweep))
    grid = sweep_cost(EXPERIMENT)

    assert [group.trials for group in adaptive.groups] == [20, 20]
    assert adaptive.at_most
    assert [group.trials for group in grid.groups] == [2, 2]
    assert not grid.at_most
    assert adaptive.target.trials == 20
    assert adaptive.ratio == pytest.approx(grid.ratio)

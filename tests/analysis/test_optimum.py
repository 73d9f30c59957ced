import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.analysis import WidthSweep, find_optimum
from transfer.analysis.bowls import fit_bowls
from transfer.analysis.points import Points
from transfer.analysis.quadratic import curve_minimum

GRID = [-9.0, -8.0, -7.0, -6.0, -5.0, -4.0]


def bowl(centre, floor=3.0, curvature=0.1):
    return lambda width, rate, decay: floor + curvature * (rate - centre) ** 2


# Without noise what is left is the error of the bowl's form: up to a tenth of an octave.
FORM = 0.1


@pytest.mark.parametrize("centre", [-7.4, -7.0, -6.3, -5.6])
@pytest.mark.parametrize("points", [3, 4, 5, 6])
def test_a_quadratic_is_recovered(sweep, centre, points):
    nearest = round(centre)
    grid = [nearest - 1.0 + k for k in range(points)]

    vertex = curve_minimum(np.array(grid), np.array([bowl(centre)(64, x, 0) for x in grid]))
    trials = sweep()(bowl(centre), [64], grid, seeds=3)
    found = find_optimum(trials, "mup+sqrt", 64).log2_learning_rate

    assert vertex.location == pytest.approx(centre, abs=1e-9)
    assert found.value == pytest.approx(centre, abs=FORM)
    assert found.interval[0] < centre < found.interval[1]


def test_a_joint_quadratic_is_recovered(sweep):
    def tilted(width, rate, decay):
        u, v = rate + 6.2, decay + 3.3
        return 3.0 + 0.1 * u * u + 0.06 * u * v + 0.05 * v * v

    trials = sweep()(tilted, [64], GRID, seeds=3, log2_decays=[-5.0, -4.0, -3.0, -2.0])

    optimum = find_optimum(trials, "mup+sqrt", 64)

    assert optimum.log2_learning_rate.value == pytest.approx(-6.2, abs=FORM)
    assert optimum.log2_weight_decay.value == pytest.approx(-3.3, abs=2 * FORM)
    assert optimum.weight_decay == 2**optimum.log2_weight_decay.value
    # At one decay the optimum is that of the cut, not of the bowl.
    cut = find_optimum(trials, "mup+sqrt", 64, weight_decay=2.0**-5)
    assert cut.log2_learning_rate.value == pytest.approx(-6.2 + 0.3 * 1.7, abs=FORM)


def test_a_decay_at_the_edge_falls_back_to_the_best_that_was_run(sweep):
    def loss(width, rate, decay):
        return 3 + (rate + 6) ** 2 + (decay + 9) ** 2

    trials = sweep()(loss, [64], GRID, log2_decays=[-4.0, -3.0, -2.0])

    optimum = find_optimum(trials, "mup+sqrt", 64)

    assert optimum.log2_weight_decay is None
    assert "no decays were swept on both sides" in optimum.note
    assert optimum.weight_decay == 2.0**-4
    assert optimum.log2_learning_rate.value == pytest.approx(-6, abs=FORM)


def test_a_saddle_is_no_optimum_in_decay(sweep):
    def saddle(width, rate, decay):
        """Lowest in the middle of the nine points, yet falling along one diagonal of the fit."""
        u, v = rate + 6, decay + 3
        return 3.0 if u == v == 0 else 3.1 if u == v else 4.0

    trials = sweep()(saddle, [64], [-7.0, -6.0, -5.0], log2_decays=[-4.0, -3.0, -2.0])

    optimum = find_optimum(trials, "mup+sqrt", 64)

    assert optimum.best.weight_decay == 2.0**-3
    assert optimum.log2_weight_decay is None
    assert "bowl" in optimum.note


def test_a_bowl_that_noise_hides_has_no_decay_and_says_so(sweep):
    """A bowl that is almost flat in decay: no interval leaves the decays by more than a step."""

    def flat(width, rate, decay):
        return 3 + 0.1 * (rate + 6) ** 2 + 0.001 * (decay + 3) ** 2

    rates, decays = [-7.0, -6.0, -5.0], [-4.0, -3.0, -2.0]
    seen = set()
    for seed in range(12):
        made = sweep(noise=0.004, generator_seed=seed)
        trials = made(flat, [64], rates, seeds=3, log2_decays=decays)
        optimum = find_optimum(trials, "mup+sqrt", 64)
        decay = optimum.log2_weight_decay
        seen.add(decay is None)
        if decay is None:
            assert "weight decay stays at" in optimum.note
        else:
            assert decays[0] - 1 <= decay.interval[0] <= decay.interval[1] <= decays[-1] + 1
    assert True in seen, "no noise was strong enough to test anything"


@pytest.mark.parametrize(
    ("grid", "centre", "named"),
    [
        ([-9.0, -8.5, -8.0], -12.0, "smallest: add 2^-9.5 and 2^-10 below 2^-9 at width 16"),
        ([-9.0, -8.0, -7.0], -2.0, "largest: add 2^-6 and 2^-5 above 2^-7 at width 16"),
        ([-8.0, -7.0], -7.4, "largest: add 2^-6 and 2^-5 above 2^-7 at width 16"),
        ([-7.0], -7.0, "one learning rate: add 2^-8 and 2^-9 below 2^-7 and 2^-6 and 2^-5 above"),
    ],
)
def test_an_edge_or_too_few_points_are_undecided_and_name_what_to_add(sweep, grid, centre, named):
    optimum = find_optimum(sweep()(bowl(centre), [16], grid), "mup+sqrt", 16).log2_learning_rate

    assert optimum.value is None
    assert optimum.interval is None
    assert named in optimum.reason


def test_divergence_bounds_the_fit(sweep):
    def loss(width, rate, decay):
        return np.inf if rate > -6 else 3.0 + 0.1 * (rate + 6.2) ** 2

    optimum = find_optimum(sweep()(loss, [64], GRID), "mup+sqrt", 64)

    assert optimum.log2_learning_rate.value == pytest.approx(-6.2, abs=0.25)
    assert optimum.log2_learning_rate.interval[1] <= -5, "a bottom cannot lie in divergence"


def test_a_best_point_beside_divergence_asks_for_the_gap(sweep):
    def loss(width, rate, decay):
        return np.inf if rate > -6 else 3.0 - rate

    reason = find_optimum(sweep()(loss, [64], GRID), "mup+sqrt", 64).log2_learning_rate.reason

    assert "add 2^-5.5 between 2^-6 and 2^-5, which diverged" in reason


def test_one_diverged_seed_spoils_its_learning_rate(sweep):
    trials = sweep()(bowl(-5.2), [64], GRID, seeds=3)
    broken = [
        dataclasses.replace(t, status="diverged", eval_loss=float("nan"))
        if (t.learning_rate, t.seed) == (2.0**-5, 1)
        else t
        for t in trials
    ]

    assert find_optimum(broken, "mup+sqrt", 64).best.learning_rate != 2.0**-5
    assert find_optimum(trials, "mup+sqrt", 64).best.learning_rate == 2.0**-5


def test_everything_diverged_is_undecided(sweep):
    optimum = find_optimum(sweep()(lambda *_: np.inf, [64], GRID), "mup+sqrt", 64)

    assert optimum.best_loss is None
    assert "every learning rate diverged: add 2^-10" in optimum.log2_learning_rate.reason


def test_multipliers_are_held_at_their_best(sweep):
    worse = sweep()(bowl(-7.0, floor=3.5), [64], GRID, init_scale=2.0)
    better = sweep()(bowl(-5.0, floor=3.0), [64], GRID, init_scale=0.5)

    optimum = find_optimum(worse + better, "mup+sqrt", 64)

    assert optimum.best.init_scale == 0.5
    assert optimum.log2_learning_rate.value == pytest.approx(-5.0, abs=FORM)


def test_only_seeds_run_everywhere_are_compared(sweep):
    trials = sweep(noise=0.1)(bowl(-6.3), [64], GRID, seeds=3)
    lacking = [t for t in trials if (t.seed, t.learning_rate) != (2, 2.0**-9)]

    sweep_at_64 = WidthSweep.of(lacking, "mup+sqrt", 64)
    assert sweep_at_64.curve.seeds == (0, 1)
    assert sweep_at_64.optimum.seeds == 2


def test_the_optimum_is_that_of_the_objective(sweep):
    trials = [
        dataclasses.replace(t, eval_loss=-t.eval_loss, objective="loss")
        for t in sweep()(bowl(-6.3), [64], GRID)
    ]
    found = find_optimum(trials, "mup+sqrt", 64)
    assert found.log2_learning_rate.value == pytest.approx(-6.3, abs=FORM)
    by_held_out = [dataclasses.replace(t, objective="eval_loss") for t in trials]
    assert find_optimum(by_held_out, "mup+sqrt", 64).best != found.best


def test_losses_that_do_not_compare_are_refused(sweep):
    trials = sweep()(bowl(-6.3), [64], GRID)
    longer = [dataclasses.replace(t, steps=200, seed=1, trial=t.trial + "x") for t in trials]

    with refused("mup+sqrt", 64):
        find_optimum(trials + longer, "mup+sqrt", 64)
    otherwise = [dataclasses.replace(t, objective="loss", seed=1, trial="y") for t in trials[:1]]
    with refused("sweep.objective"):
        find_optimum(trials + otherwise, "mup+sqrt", 64)
    with refused():
        find_optimum(trials + trials[:1], "mup+sqrt", 64)
    with refused("mup+sqrt", 128):
        find_optimum(trials, "mup+sqrt", 128)


lopsided = st.lists(st.integers(0, 1000), min_size=5, max_size=7, unique=True)


@given(lopsided, st.floats(-20, 20), st.floats(0.01, 100))
def test_units_of_learning_rate_and_loss_do_not_matter(losses, shift, scale):
    x, y = np.arange(float(len(losses))), np.array(losses) / 1000

    plain = curve_minimum(x, y).location
    moved = curve_minimum(x + shift, y).location
    scaled = curve_minimum(x, 7.0 + scale * y).location

    if plain is None:
        assert moved is None
        assert scaled is None
    else:
        assert moved == pytest.approx(plain + shift, abs=1e-8)
        assert scaled == pytest.approx(plain, abs=1e-8)


@given(lopsided)
def test_the_minimum_lies_between_the_best_points_neighbours(losses):
    y = np.array(losses) / 1000
    best = int(y.argmin())

    location = curve_minimum(np.arange(float(len(y))), y).location

    assert (location is None) == (best in (0, len(y) - 1))
    assert location is None or best - 1 < location < best + 1


def test_units_of_learning_rate_and_loss_do_not_matter_to_intervals():
    losses = 0.1 * (np.arange(6.0)[:, None] - 2.3) ** 2
    losses = losses + np.random.default_rng(0).normal(0, 0.005, (6, 3))

    (plain,) = fit_bowls([Points.of(np.arange(6.0), losses)])
    (moved,) = fit_bowls([Points.of(np.arange(6.0) + 11, 7.0 + 30 * losses)])

    assert moved.bottom == pytest.approx(plain.bottom + 11, abs=1e-6)
    assert moved.level == pytest.approx(7 + 30 * plain.level, abs=1e-6)
    assert moved.height(13.0) == pytest.approx(30 * plain.height(2.0), abs=1e-6)


def test_one_seed_has_an_interval_that_is_wider_than_that_of_three(sweep):
    def length(seeds, generator_seed):
        made = sweep(noise=0.01, generator_seed=generator_seed)
        trials = made(bowl(-6.3), [32, 64], GRID, seeds=seeds)
        low, high = find_optimum(trials, "mup+sqrt", 64).log2_learning_rate.interval
        assert low < -6.3 < high
        return high - low

    # With one seed only the residuals tell the noise, and one sweep may seem quiet by luck.
    one, three = (np.mean([length(seeds, k) for k in range(4)]) for seeds in (1, 3))
    assert one > 1.3 * three


def test_intervals_reproduce_and_noise_shared_by_seeds_cancels(sweep):
    noisy = sweep(noise=0.01)(bowl(-6.3), [64], GRID, seeds=4)
    first, again = (find_optimum(noisy, "mup+sqrt", 64).log2_learning_rate for _ in range(2))
    assert first == again
    assert first.interval[0] < first.value < first.interval[1]

    shared = {trial.seed: 0.5 * (trial.seed - 1) for trial in noisy}
    moved = [dataclasses.replace(t, eval_loss=t.eval_loss + shared[t.seed]) for t in noisy]
    paired = find_optimum(moved, "mup+sqrt", 64).log2_learning_rate
    assert paired.interval == pytest.approx(first.interval, abs=1e-6)
    own = [dataclasses.replace(t, eval_loss=t.eval_loss + 0.02 * (t.seed == 1)) for t in noisy[:8]]
    alone = find_optimum(own + noisy[8:], "mup+sqrt", 64).log2_learning_rate
    assert alone.interval != pytest.approx(first.interval, abs=1e-3)


def test_widths_are_pooled_and_data_that_disagree_are_not(sweep):
    """Three rates leave the curvature to a wider sweep, unless they contradict it."""
    wide = sweep(noise=0.01, generator_seed=1)(bowl(-6.3), [64], GRID, seeds=3)
    short = sweep(noise=0.01)(bowl(-6.3), [32], [-7.0, -6.0, -5.0], seeds=3)
    alone = find_optimum(short, "mup+sqrt", 32).log2_learning_rate
    pooled = find_optimum(short + wide, "mup+sqrt", 32).log2_learning_rate

    assert np.ptp(pooled.interval) < np.ptp(alone.interval)
    steep = sweep(noise=0.01)(bowl(-6.3, curvature=0.4), [32], GRID, seeds=3)
    for width, curvature in ((32, 0.4), (64, 0.1)):
        row = WidthSweep.of(steep + wide, "mup+sqrt", width).surface.row
        octave = (row.height(row.bottom + 1) + row.height(row.bottom - 1)) / 2
        assert np.median(octave) == pytest.approx(curvature, rel=0.15)


def test_a_predicted_trial_on_the_curve_counts_where_it_has_all_seeds(sweep):
    swept = sweep(noise=0.01)(bowl(-6.3), [64], [-7.0, -6.0, -5.0], seeds=3)
    predicted = sweep(noise=0.01, generator_seed=9)(
        bowl(-6.3), [64], [-6.4], seeds=3, origin="predicted"
    )
    alone, with_it, without_a_seed = (
        find_optimum(swept + more, "mup+sqrt", 64).log2_learning_rate.interval
        for more in ([], predicted, predicted[:2])
    )

    assert np.ptp(with_it) < np.ptp(alone)
    assert without_a_seed == alone


def test_an_optimum_that_some_seeds_put_on_the_edge_has_no_interval(sweep):
    inside, outside = (sweep()(bowl(c), [64], [-7.0, -6.0, -5.0, -4.0]) for c in (-5.9, -3.4))
    outside = [dataclasses.replace(t, seed=1, trial=t.trial + "1") for t in outside]

    estimate = find_optimum(list(itertools.chain(inside, outside)), "mup+sqrt", 64)

    assert estimate.log2_learning_rate.interval is None
    assert "may lie is open: add" in estimate.log2_learning_rate.reason

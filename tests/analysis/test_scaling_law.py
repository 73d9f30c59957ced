"""The law is found exactly where it holds, and its interval covers as it says."""

import dataclasses

import numpy as np
import pytest
from refusals import refused
from scipy import special

from experiments.forecast.coverage import measure
from experiments.forecast.scenarios import SCENARIOS
from transfer.analysis import ScalingLaw, SizeLoss

SIZES = 1e4 * 2.0 ** np.arange(6)


def points(floor, coefficient, exponent, noise=0.0, seed=0):
    errors = np.random.default_rng(seed).normal(0, noise, len(SIZES))
    losses = (floor + coefficient * SIZES**-exponent) * (1 + errors)
    return [SizeLoss(float(x), float(y)) for x, y in zip(SIZES, losses, strict=True)]


@pytest.mark.parametrize(
    ("floor", "coefficient", "exponent"), [(1.5, 30.0, 0.35), (0.0, 10.0, 0.15), (1.8, 900.0, 0.8)]
)
def test_an_exact_law_is_found(floor, coefficient, exponent):
    law = ScalingLaw.fit(points(floor, coefficient, exponent))

    assert law.floor == pytest.approx(floor, abs=1e-3)
    assert law.exponent == pytest.approx(exponent, rel=2e-3)
    assert law.at(1e6) == pytest.approx(floor + coefficient * 1e6**-exponent, rel=1e-5)


def test_small_noise_gives_the_t_interval_of_the_linearized_law():
    law = ScalingLaw.fit(points(1.5, 30.0, 0.35, noise=1e-4))
    size = 1e6

    # By the delta method: f = E + A x^-a has the gradient (1, x^-a, -A x^-a log x).
    def gradient(x):
        power = x**-law.exponent
        return np.stack([np.ones_like(x), power, -law.coefficient * power * np.log(x)], -1)

    relative = gradient(SIZES) / np.array([point.loss for point in law.points])[:, None]
    covariance = law.variance * np.linalg.inv(relative.T @ relative)
    there = gradient(np.array(size))
    reach = special.stdtrit(3, 0.975) * np.sqrt(there @ covariance @ there)
    low, high = law.interval(size)

    assert law.freedom == 3
    assert (law.at(size) - low, high - law.at(size)) == pytest.approx((reach, reach), rel=0.02)


def test_units_change_nothing():
    law = ScalingLaw.fit(points(1.5, 30.0, 0.35, noise=0.003))
    scaled = [
        dataclasses.replace(point, size=point.size * 1e9, loss=point.loss * 2)
        for point in law.points
    ]

    other = ScalingLaw.fit(scaled)
    assert other.at(1e15) == pytest.approx(2 * law.at(1e6), rel=1e-6)
    assert other.interval(1e15, 1) == pytest.approx(
        tuple(2 * end for end in law.interval(1e6, 1)), rel=1e-5
    )


def test_what_is_not_identified_widens_the_interval_to_its_side():
    """Near a straight line in log x nothing tells whether there is a floor."""
    told = ScalingLaw.fit(points(1.8, 900.0, 0.8, noise=0.002))
    untold = ScalingLaw.fit(points(0.0, 4.0, 0.05, noise=0.002))
    far = 1e8

    def sides(law):
        low, high = law.interval(far)
        return (law.at(far) - low) / law.at(far), (high - law.at(far)) / law.at(far)

    assert max(sides(told)) < 0.02
    assert sum(sides(untold)) > 3 * sum(sides(told))


def test_a_loss_that_does_not_fall_is_a_constant_and_said_to_be():
    law = ScalingLaw.fit([SizeLoss(x, 2.0 + 0.01 * k) for k, x in enumerate(SIZES)])

    assert law.coefficient == 0.0
    assert law.notes == ("the loss does not fall with size",)


def test_seeds_narrow_the_interval_and_misfit_widens_it():
    noisy = points(1.5, 30.0, 0.35, noise=0.003)
    alone = ScalingLaw.fit(noisy)
    with_seeds = ScalingLaw.fit(
        [dataclasses.replace(point, runs=3, variance=3 * alone.variance) for point in noisy]
    )
    exact_seeds = ScalingLaw.fit(
        [dataclasses.replace(point, runs=3, variance=1e-10) for point in noisy]
    )

    def width(law):
        low, high = law.interval(1e6, 3)
        return high - low

    # The variance is the same, and known with 15 degrees of freedom instead of 3.
    assert with_seeds.variance == pytest.approx(alone.variance)
    assert width(with_seeds) == pytest.approx(width(alone) * 2.131 / 3.182, rel=0.1)
    # Seeds that agree to 1e-5 do not excuse residuals of 3e-3.
    assert exact_seeds.variance == pytest.approx(alone.variance)
    assert 0.8 * width(alone) < width(exact_seeds) < width(alone)


def test_one_run_scatters_more_than_a_mean_of_runs():
    law = ScalingLaw.fit(
        [dataclasses.replace(p, runs=4, variance=1e-4) for p in points(1.5, 30.0, 0.35, 0.003)]
    )
    of_law, of_mean, of_one = (law.interval(1e6, runs) for runs in (None, 4, 1))

    assert of_one[0] < of_mean[0] < of_law[0] < law.at(1e6) < of_law[1] < of_mean[1] < of_one[1]


def test_the_interval_covers_and_the_naive_one_does_not():
    """Of 150 draws 95 % are 142.5 +- 2.7, so that fewer than 134 are 3 deviations away."""
    found = measure(SCENARIOS[0], 5, reach=2.0, draws=150)

    assert found["mean"] >= 134 / 150
    assert found["one_run"] >= 134 / 150
    assert found["plug_in"] < 0.8


def test_a_law_survives_json():
    law = ScalingLaw.fit([dataclasses.replace(p, runs=3, variance=1e-5) for p in points(1, 9, 0.3)])
    assert ScalingLaw.from_json(law.to_json()) == law


def test_too_few_or_wrong_points_are_refused():
    exact = points(1.5, 30.0, 0.35)
    with refused("3", "4"):
        ScalingLaw.fit(exact[:3])
    with refused("10000"):
        ScalingLaw.fit([*exact[:3], exact[0]])
    with refused("above 0"):
        ScalingLaw.fit([*exact[:3], SizeLoss(1e9, float("inf"))])

"""What seeds say of the noise."""

import numpy as np
import pytest

from transfer.analysis.points import Points, with_rising_noise

X = np.arange(-9.0, -3.0)


def losses(rise, seeds=5, generator_seed=0):
    generator = np.random.default_rng(generator_seed)
    height = 0.05 * (X + 6.4) ** 2
    noise = np.hypot(0.01, rise * height)[:, None]
    return 3 + height[:, None] + noise * generator.standard_normal((len(X), seeds))


def test_noise_rises_with_the_height_only_where_seeds_show_it():
    level = [Points.of(X, losses(0.0, generator_seed=k)) for k in range(4)]
    rising = [Points.of(X, losses(0.5, generator_seed=k)) for k in range(4)]

    assert all(np.ptp(points.variance) == 0 for points in with_rising_noise(level))
    found = with_rising_noise(rising)
    lowest, furthest = found[0].y.argmin(), found[0].y.argmax()
    assert found[0].variance[furthest] > 20 * found[0].variance[lowest]
    told = sum(points.squares for points in found) / sum(points.freedom for points in found)
    assert np.sqrt(told) == pytest.approx(0.01, rel=0.5)
    pooled = sum(points.squares for points in rising) / sum(points.freedom for points in rising)
    assert np.sqrt(pooled) > 0.02, "else nothing was to be told apart"


def test_one_seed_says_nothing_of_noise():
    (points,) = with_rising_noise([Points.of(X, losses(0.5, seeds=1))])

    assert points.freedom == 0
    assert np.all(points.variance == 1)


def test_points_end_at_divergence_and_two_octaves_from_the_lowest():
    y = np.array([9.0, 4, 1, 0, 1, np.inf, 0.5])
    points = Points.of(np.arange(7.0), y[:, None])

    assert points.near == slice(1, 5)
    assert points.allowed == (-2.0, 5.0)
    fine = Points.of(np.arange(7.0) / 4, np.arange(7.0)[:, None])
    assert fine.near == slice(0, 7)
    coarse = Points.of(3 * np.arange(5.0), np.array([4.0, 1, 0, 1, 4])[:, None])
    assert coarse.near == slice(0, 5)

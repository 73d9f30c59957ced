import numpy as np
import pytest

from transfer.analysis import Crossover, ScalingLaw, SizeLoss, crossover

SIZES = [1e4, 2e4, 4e4, 8e4, 16e4, 32e4]


def law(floor, coefficient, noise=0.0, seed=0):
    errors = np.random.default_rng(seed).normal(0, noise, len(SIZES))
    return ScalingLaw.fit(
        [
            SizeLoss(x, float((floor + coefficient * x**-0.5) * (1 + e)))
            for x, e in zip(SIZES, errors, strict=True)
        ]
    )


def test_a_crossover_lies_in_its_interval():
    # 1.6 + 100 x^-1/2 = 2 + 40 x^-1/2 where x^1/2 = 150.
    found = crossover({"late": law(1.6, 100.0, 1e-4), "early": law(2.0, 40.0, 1e-4, seed=1)})
    low, high = found.interval

    assert found.better == "late"
    assert low < 150**2 < high
    assert high / low < 2
    assert "late overtakes early" in found.sentence("parameters")


def test_laws_that_do_not_cross_have_no_interval():
    found = crossover({"worse": law(1.8, 100.0, 1e-4), "better": law(1.6, 90.0, 1e-4, seed=1)})

    assert found.better == "better"
    assert found.interval is None
    assert "do not cross" in found.sentence("parameters")


def test_noise_hides_a_small_difference_unless_both_share_it():
    one, other = (1.6, 100.0), (1.61, 100.5)
    apart = crossover({"one": law(*one, 0.01), "other": law(*other, 0.01, seed=1)})
    shared = crossover({"one": law(*one, 0.01), "other": law(*other, 0.01)})

    assert apart.better is None
    assert "not told apart" in apart.sentence("parameters")
    assert shared.better == "one"


@pytest.mark.parametrize("noise", [1e-4, 0.01])
def test_a_crossover_survives_json(noise):
    found = crossover({"late": law(1.6, 100.0, noise), "early": law(2.0, 40.0, noise, seed=1)})
    assert Crossover.from_json(found.to_json()) == found

"""The rows against the published stability theory, from exponents of width alone.

SGD: Theorem 3.3 of arXiv 2011.14522, with W = n^-a w, w ~ n^-b and rate n^-c.
Adam: the recursion of arXiv 2407.05872 under full alignment.
"""

from fractions import Fraction
from typing import NamedTuple

import pytest

from transfer.scaling import PARAMETRIZATIONS, Role

from .parameters import MUP_FORMS

HALF = Fraction(1, 2)
LAYERS = (Role.INPUT, Role.HIDDEN, Role.OUTPUT)


class Layer(NamedTuple):
    a: Fraction
    b: Fraction
    c: Fraction


def exponents(name: str, rates: str, family: str) -> list[Layer]:
    """(a, b, c) of an input, a hidden and an output layer: minus a row's exponents of width."""
    layers = []
    for role in LAYERS:
        row = PARAMETRIZATIONS[name].rows[role]
        powers = [row.multiplier, row.std]
        if rates != "uniform":
            powers.append((row.sgd if family == "linear" else row.adam)[rates])
        falls = [-(power.fan_in + power.fan_out) for power in powers]
        layers.append(Layer(*falls, *[Fraction(0)] * (3 - len(falls))))
    return layers


def sgd_regime(layers: list[Layer]) -> tuple[Fraction, bool, str]:
    """r, whether training is stable, and the regime, for one global rate c = 0."""
    # The symmetry a + t, b - t, c - 2 t takes every layer's own rate to zero.
    (a1, b1), (a2, b2), (a3, b3) = ((a + c / 2, b - c / 2) for a, b, c in layers)
    r = min(a3 + b3, 2 * a3) - 1 + min(2 * a1 + 1, 2 * a2)
    stable = (
        a1 + b1 == 0
        and a2 + b2 == HALF
        and a3 + b3 >= HALF
        and r >= 0
        and 2 * a3 >= 1
        and a3 + b3 + r >= 1
    )
    return r, stable, "feature" if r == 0 else "kernel" if r > 0 else "none"


def with_rate(layers: list[Layer], c: int) -> list[Layer]:
    return [layer._replace(c=layer.c + c) for layer in layers]


@pytest.mark.parametrize("name", MUP_FORMS)
def test_mup_and_mean_field_learn_features(name):
    assert sgd_regime(exponents(name, "full", "linear")) == (0, True, "feature")


def test_published_values_of_the_standard_class():
    standard = exponents("standard", "uniform", "linear")
    assert sgd_regime(standard) == (-1, False, "none")
    assert sgd_regime(with_rate(standard, 1)) == (HALF, True, "kernel")
    assert sgd_regime(exponents("ntk", "uniform", "linear")) == (HALF, True, "kernel")


@pytest.mark.parametrize("name", ["standard", "ntk"])
def test_rates_per_layer_make_the_standard_class_learn_but_align_its_readout(name):
    layers = exponents(name, "full", "linear")
    r, stable, _ = sgd_regime(layers)
    assert (r, stable) == (0, False)
    readout = layers[-1]
    assert readout.a + readout.b + r == HALF


def adam_r(layers: list[Layer]) -> tuple[Fraction, ...]:
    """How fast the change of each layer's output falls with width; stable if none is negative."""
    (a1, _, c1), (a2, _, c2), (a3, b3, c3) = layers
    alpha, omega, u = Fraction(1), HALF, Fraction(1)
    first = a1 + c1
    second = min(a2 + c2 - alpha, a2 + c2 + first - u, HALF + first - omega)
    third = min(a3 + b3 + second - omega, a3 + c3 - alpha, a3 + c3 + second - u)
    return first, second, third


@pytest.mark.parametrize("name", ["standard", "ntk", *MUP_FORMS])
def test_full_alignment_rates_change_every_layer_as_much_at_every_width(name):
    assert adam_r(exponents(name, "full", "entrywise")) == (0, 0, 0)


def test_adam_with_one_rate_blows_up_in_the_standard_class():
    standard = exponents("standard", "uniform", "entrywise")
    assert adam_r(standard) == (0, -1, -2)
    assert adam_r(with_rate(standard, 1)) == (1, 0, 0)
    assert adam_r(exponents("ntk", "uniform", "entrywise")) == (0, -HALF, -1)


def test_the_unit_embedding_is_stable_and_slower():
    assert adam_r(exponents("unit", "full", "entrywise")) == (HALF, 0, 0)

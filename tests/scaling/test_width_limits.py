"""The tables against networks: slopes over width of gradients at init and of the first update.

A swish network with two hidden layers and a scalar output, linear loss, one infinitesimal step.
The expected slopes are asymptotic; a few seeds at widths up to 512 come within the tolerance.
"""

import functools
from fractions import Fraction

import numpy as np
import pytest

from transfer.scaling import Recipe, Role

from .parameters import MUP_FORMS, of_role

WIDTHS = (64, 128, 256, 512)
SEEDS = 4
FEATURES, BATCH = 16, 4
LAYERS = (Role.INPUT, Role.HIDDEN, Role.OUTPUT)


@functools.cache
def draws(width: int, seed: int) -> tuple[np.ndarray, ...]:
    """Inputs and residuals, the same at every width, and standard normal weights."""
    fixed, random = np.random.default_rng(seed), np.random.default_rng([seed, width])
    x, residual = fixed.normal(size=(BATCH, FEATURES)), fixed.normal(size=(BATCH, 1))
    shapes = [(FEATURES, width), (width, width), (width, 1)]
    return (x, residual, *(random.normal(size=shape) for shape in shapes))


def measure(name: str, rates: str, family: str, width: int, seed: int) -> dict[str, float]:
    """Log RMS of each parameter's gradient, of the first changes, and of the initial output."""
    x, residual, *units = draws(width, seed)
    recipe = Recipe(name, rates=rates)
    m = Fraction(width, WIDTHS[0])
    rules = [recipe.rule(of_role(role, m), family) for role in LAYERS]
    fans = (FEATURES, WIDTHS[0], WIDTHS[0])
    stds = [rule.multiplier * rule.std * n**-0.5 for rule, n in zip(rules, fans, strict=True)]
    W1, W2, w3 = (std * unit for std, unit in zip(stds, units, strict=True))

    h1 = x @ W1
    h2 = swish(h1) @ W2
    d2 = residual @ w3.T * swish_slope(h2)
    d1 = d2 @ W2.T * swish_slope(h1)
    effective = (x.T @ d1, swish(h1).T @ d2, swish(h2).T @ residual)
    gradients = [G * rule.multiplier for G, rule in zip(effective, rules, strict=True)]
    D1, D2, D3 = (
        -rule.multiplier * rule.learning_rate * (np.sign(g) if family == "entrywise" else g)
        for g, rule in zip(gradients, rules, strict=True)
    )
    change1 = x @ D1
    change2 = swish(h1) @ D2 + swish_slope(h1) * change1 @ W2
    change3 = swish(h2) @ D3 + swish_slope(h2) * change2 @ w3
    named = dict(zip(("input", "hidden", "output"), gradients, strict=True)) | {
        "h1": change1,
        "h2": change2,
        "logit": change3,
        # Its RMS over draws of the readout.
        "f0": stds[2] * np.linalg.norm(swish(h2), axis=1),
    }
    return {key: float(np.log(np.mean(value**2)) / 2) for key, value in named.items()}


def swish(h: np.ndarray) -> np.ndarray:
    return h / (1 + np.exp(-h))


def swish_slope(h: np.ndarray) -> np.ndarray:
    s = 1 / (1 + np.exp(-h))
    return s * (1 + h * (1 - s))


@functools.cache
def slopes(name: str, rates: str, family: str) -> dict[str, float]:
    logs = [
        [measure(name, rates, family, width, seed) for seed in range(SEEDS)] for width in WIDTHS
    ]
    means = {key: [np.mean([run[key] for run in runs]) for runs in logs] for key in logs[0][0]}
    return {key: float(np.polyfit(np.log(WIDTHS), y, 1)[0]) for key, y in means.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("standard", (-0.5, -0.5, 0)),
        ("ntk", (-0.5, -1, -0.5)),
        ("mup_table3", (-1, -1, 0)),
        ("mup", (-1, -1, -1)),
        ("mup_table9", (-0.5, -1, -0.5)),
        ("mean_field", (-1, -1.5, -1)),
    ],
)
def test_gradients_at_init_follow_epsilon(name, expected):
    measured = slopes(name, "full", "entrywise")
    for role, slope in zip(LAYERS, expected, strict=True):
        assert measured[role.value] == pytest.approx(slope, abs=0.1)
        epsilon = Recipe(name, rates="full").rule(of_role(role, 16)).epsilon
        assert np.log(epsilon) / np.log(16) == pytest.approx(slope)


@pytest.mark.parametrize(
    ("name", "rates", "family", "expected"),
    [
        ("standard", "uniform", "entrywise", (0, 1, 1.5)),
        ("standard", "uniform", "linear", (-0.5, 0.5, 1)),
        ("standard", "full", "entrywise", (0, 0, 0.5)),
        ("ntk", "full", "entrywise", (0, 0, 0.5)),
        ("ntk", "uniform", "entrywise", (0, 0.5, 1)),
        ("ntk", "uniform", "linear", (-0.5, -0.5, 0)),
        *(
            (form, "full", family, (0, 0, 0))
            for form in MUP_FORMS
            for family in ("entrywise", "linear")
        ),
    ],
)
def test_first_update(name, rates, family, expected):
    measured = slopes(name, rates, family)
    for key, slope in zip(("h1", "h2", "logit"), expected, strict=True):
        assert measured[key] == pytest.approx(slope, abs=0.15), key


@pytest.mark.parametrize(("name", "slope"), [("mup", -0.5), ("standard", 0), ("ntk", 0)])
def test_initial_output(name, slope):
    assert slopes(name, "full", "entrywise")["f0"] == pytest.approx(slope, abs=0.15)

"""The regime classifier against a few networks, by the code of `experiments/regimes`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.regimes import network, predictions, sets
from experiments.regimes.run import Group, slopes, stacked
from transfer.scaling import Condition, Exponents, Recipe, classify_regime

FAMILIES = ("linear", "entrywise")
WIDTHS, SEEDS = (128, 512, 2048), 4
# The nearest wrong prediction is 1/4 away. The experiment asks for half of that; these networks
# are narrower and fewer, and up to a further 0.05 from their limit.
TOLERANCE = 0.175
STABLE = 3  # in each of the two regimes

# Each fails one condition by a half or more.
UNSTABLE = {
    "linear": {
        Condition.INPUT_INIT: "0 -1/2 0 | 0 1/2 1 | 0 1/2 0 | 1/2 1/2 0",
        Condition.HIDDEN_INIT: "0 0 0 | 0 0 1 | 0 1/2 1 | 1/2 1/2 0",
        Condition.OUTPUT_INIT: "0 0 2 | 0 1/2 2 | 0 1/2 2 | 1/2 -1/2 0",
        Condition.FEATURES: "0 0 0 | 0 1/2 -1 | 0 1/2 0 | 1/2 1 1/2",
        Condition.READOUT_UPDATE: "0 0 1 | 0 1/2 1 | 0 1/2 1 | 1/2 1/2 -1/2",
        Condition.FEATURE_CHANGE: "0 0 1/2 | 0 1/2 1/2 | 0 1/2 1/2 | 1/2 0 0",
    },
    "entrywise": {
        Condition.INPUT_INIT: "0 -1/2 0 | 0 1/2 1 | 0 1/2 1 | 1 0 0",
        Condition.HIDDEN_INIT: "0 0 0 | 0 0 1 | 0 1/2 1 | 1 0 0",
        Condition.OUTPUT_INIT: "0 0 1 | 0 1/2 2 | 0 1/2 2 | 1 -1 0",
        Condition.FEATURES: "0 0 0 | 0 1/2 1/2 | 0 1/2 1 | 1 1/2 0",
        Condition.READOUT_UPDATE: "0 0 0 | 0 1/2 1 | 0 1/2 1 | 1 0 -1/2",
        Condition.FEATURE_CHANGE: "0 0 0 | 0 1/2 1 | 0 1/2 1 | 1 -1/2 0",
    },
}


@functools.cache
def measured(family):
    """Verdicts of the stable networks and then of the unstable ones, and all measured slopes."""
    broken = [classify_regime(Exponents.parse(t, family)) for t in UNSTABLE[family].values()]
    verdicts = [*sets.stable(family, each=STABLE, seed=1), *broken]
    # Together, for one compilation a width.
    group = Group("all", verdicts, steps=3)
    logs = stacked([[group.logs(width, seed) for seed in range(SEEDS)] for width in WIDTHS])
    return verdicts, {name: slopes(values, WIDTHS)[0] for name, values in logs.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_stable_networks_move_as_predicted(family):
    verdicts, found = measured(family)
    for k, verdict in enumerate(verdicts[: 2 * STABLE]):
        for quantity, predicted in predictions.stable(verdict).items():
            slope = pytest.approx(float(predicted), abs=TOLERANCE)
            assert found[quantity][k] == slope, (str(verdict.exponents), quantity)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_without_one_of_its_terms_fails(family):
    verdicts, found = measured(family)
    verdicts, features = verdicts[: 2 * STABLE], found["features_3"][: 2 * STABLE]
    for rival in predictions.rivals(verdicts[0]):
        wrong = [float(predictions.rivals(verdict)[rival]) for verdict in verdicts]
        assert np.abs(features - wrong).max() > TOLERANCE, rival


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_violation_names_departs_from_order_one(family):
    verdicts, found = measured(family)
    unstable = verdicts[2 * STABLE :]
    assert [[v.condition for v in verdict.violations] for verdict in unstable] == [
        [condition] for condition in Condition
    ]
    for k, verdict in enumerate(unstable, start=2 * STABLE):
        quantity, predicted = predictions.broken(verdict, verdict.violations[0])
        assert predicted >= 1 / 2
        # Half of what is predicted: features that blow up saturate, and the second step is short.
        assert found[quantity][k] > 1 / 4, str(verdict)


# Compiled once for both tests of each family.
SMALL = {"steps": 2, "width": 12, "seed": 3}


def plainly_trained(exponents, steps, width, seed):
    """Last features and output before and after training, with every weight a matrix."""
    inputs, normals = network.draws(exponents.hidden_layers, width, seed)
    a, b, c = ([width ** -float(getattr(layer, k)) for layer in exponents.layers] for k in "abc")

    def forward(weights, x):
        for weight, scale in zip(weights[:-1], a[:-1], strict=True):
            x = jnp.tanh(scale * x @ weight)
        return x, a[-1] * x @ weights[-1]

    start = weights = [scale * jnp.asarray(Z) for scale, Z in zip(b, normals, strict=True)]
    gradient = jax.jit(jax.grad(lambda weights, x: forward(weights, x)[1][0, 0]))
    for step in range(steps):
        gradients = gradient(weights, inputs[step % len(inputs)][None])
        if exponents.family == "entrywise":
            gradients = [jnp.sign(gradient) for gradient in gradients]
        rate = network.RATES[exponents.family]
        weights = [w - rate * s * g for w, s, g in zip(weights, c, gradients, strict=True)]
    return forward(start, inputs), forward(weights, inputs)


def rms(values):
    return float(jnp.sqrt(jnp.mean(values**2)))


@pytest.mark.parametrize("family", FAMILIES)
def test_updates_kept_as_factors_train_as_matrices_do(family):
    recipes = [Recipe("standard"), Recipe("ntk"), Recipe("mup")]
    networks = [Exponents.of(recipe, family, 3).reparametrized(2, "1/4") for recipe in recipes]
    changes = network.measure(networks, **SMALL)
    with jax.enable_x64(True):
        for k, exponents in enumerate(networks):
            (x0, f0), (x, f) = plainly_trained(exponents, **SMALL)
            # 64-bit floats, and a change that is not small.
            assert changes["features_3"][k] == pytest.approx(rms(x - x0), rel=1e-9)
            assert changes["output"][k] == pytest.approx(rms(f - f0), rel=1e-9)


@pytest.mark.parametrize(("family", "other"), [FAMILIES, FAMILIES[::-1]])
def test_the_symmetry_changes_nothing_that_is_measured(family, other):
    mup = Exponents.of(Recipe("mup"), family, hidden_layers=3)
    shifted = mup.reparametrized(1, "-3/4").reparametrized(3, "1/4")
    wrong = Exponents(Exponents(mup.layers, other).reparametrized(2, "1/2").layers, family)
    found = network.measure([mup, shifted, wrong], **SMALL)
    for name, (before, after, _) in found.items():
        assert after == pytest.approx(before, rel=1e-9), name
    before, _, broken = found["update_2"]
    assert broken != pytest.approx(before, rel=0.1)

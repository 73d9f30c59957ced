"""AdamW and SGD, one parameter of each role at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer import optim
from transfer.scaling import PARAMETRIZATIONS, Layout, Recipe, Role

from .leaves import LAYOUT, M, after, ones, random, recipe, shrinkage

LR, DECAY = 0.1, 0.2
# Float32 weights of size one lose lr * decay = 2e-2 or less: a rounding is 1e-7 / 2e-3.
CLOSE = 1e-4


def adamw(recipe, **given):
    defaults = {"learning_rate": LR, "weight_decay": DECAY}
    return optim.adamw(layout=LAYOUT, recipe=recipe, **defaults | given)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize("decay", ["constant", "sqrt", "independent"])
def test_a_step_without_gradients_shrinks_each_group_by_its_own_decay(name, decay):
    wanted = Recipe(name, decay=decay, decay_readout=True)
    lost = shrinkage(adamw(wanted))
    for path, rule in wanted.rules(LAYOUT).items():
        expected = LR * rule.learning_rate * DECAY * rule.weight_decay
        assert lost[path] == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_only_hidden_matrices_decay(make, name):
    lost = shrinkage(make(LR, DECAY, layout=LAYOUT, recipe=Recipe(name)))
    assert {path for path, loss in lost.items() if loss} == {Role.HIDDEN}


@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_the_readout_decays_when_asked_by_the_same_fraction_at_every_width(make, name):
    lost = shrinkage(make(LR, DECAY, layout=LAYOUT, recipe=Recipe(name, decay_readout=True)))
    assert {path for path, loss in lost.items() if loss} == {Role.HIDDEN, Role.OUTPUT}
    assert lost[Role.OUTPUT] == pytest.approx(LR * DECAY, rel=CLOSE)


@pytest.mark.parametrize("name", ["mup", "mup_table3", "mup_table9", "mean_field", "unit"])
@pytest.mark.parametrize(("decay", "power"), [("constant", -1), ("sqrt", -0.5), ("independent", 0)])
def test_decay_per_step_follows_width_as_the_rule_says(name, decay, power):
    lost = shrinkage(adamw(recipe(name, decay=decay)))[Role.HIDDEN]
    assert lost == pytest.approx(LR * DECAY * M**power, rel=CLOSE)


@pytest.mark.parametrize("name", ["mup", "mup_table9", "standard", "ntk"])
def test_sgd_loses_the_same_fraction_at_every_width(name):
    lost = shrinkage(optim.sgd(LR, DECAY, layout=LAYOUT, recipe=recipe(name)))[Role.HIDDEN]
    assert lost == pytest.approx(LR * DECAY, rel=CLOSE)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_the_first_step_is_the_rate_times_the_sign_damped_by_epsilon(name):
    """Adam's first step is lr g / (|g| + eps), each of the three scaled by the recipe."""
    eps = 0.5
    moved = after(adamw(recipe(name), weight_decay=0.0, eps=eps), ones())
    for path, rule in recipe(name).rules(LAYOUT).items():
        expected = LR * rule.learning_rate / (1.0 + eps * rule.epsilon)
        np.testing.assert_allclose(1.0 - moved[path], expected, rtol=CLOSE)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_sgd_moves_by_its_own_rates(name):
    moved = after(optim.sgd(0.01, layout=LAYOUT, recipe=recipe(name)), ones())
    for path, rule in recipe(name).rules(LAYOUT, "linear").items():
        np.testing.assert_allclose(1.0 - moved[path], 0.01 * rule.learning_rate, rtol=CLOSE)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_optax(nesterov):
    ours = optim.sgd(
        0.01, layout=LAYOUT, recipe=Recipe("standard"), momentum=0.7, nesterov=nesterov
    )
    theirs = optax.sgd(0.01, momentum=0.7, nesterov=nesterov)
    gradients = random()
    for path, leaf in after(theirs, gradients, steps=3).items():
        np.testing.assert_allclose(after(ours, gradients, steps=3)[path], leaf, rtol=1e-6)


@pytest.mark.parametrize(
    ("knob", "role"),
    [("input_learning_rate", Role.INPUT), ("readout_learning_rate", Role.OUTPUT)],
)
@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
def test_a_learning_rate_of_a_role_acts_on_it_alone(make, knob, role):
    def moved(**given):
        return after(make(1e-3, layout=LAYOUT, recipe=recipe(), **given), random(), random(1))

    start, plain, turned = random(1), moved(), moved(**{knob: 3.0})
    for path in LAYOUT:
        if path == role:
            step, tripled = plain[path] - start[path], turned[path] - start[path]
            # Differences of numbers of size one: absolute rounding 1e-7.
            np.testing.assert_allclose(tripled, 3.0 * step, rtol=1e-3, atol=1e-6)
            assert not np.array_equal(plain[path], turned[path])
        else:
            np.testing.assert_array_equal(plain[path], turned[path])


@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
def test_the_learning_rate_may_be_a_schedule(make):
    """It meets the recipe's factors step by step, and decay follows it."""
    scheduled = make(
        optim.schedule("linear", 3),
        DECAY,
        layout=LAYOUT,
        recipe=recipe(),
        readout_learning_rate=2.0,
    )
    parameters, state = random(1), scheduled.init(random(1))
    for value in (1.0, 2 / 3, 1 / 3, 0.0):
        # Without gradients nothing but the learning rate and the decay is seen.
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        constant = make(value, DECAY, layout=LAYOUT, recipe=recipe(), readout_learning_rate=2.0)
        wanted = after(constant, zeros, parameters)
        updates, state = scheduled.update(zeros, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        for path in LAYOUT:
            np.testing.assert_allclose(parameters[path], wanted[path], rtol=1e-6)


def test_a_schedule_scales_the_step_of_a_gradient():
    steps = [after(adamw(recipe(), learning_rate=lr), ones()) for lr in (lambda t: 0.05, 0.05)]
    for path in LAYOUT:
        np.testing.assert_allclose(steps[0][path], steps[1][path], rtol=1e-6)


NAMES = ("learning_rate", "weight_decay", "b1", "b2", "eps")
KNOBS = (*NAMES, "input_learning_rate", "readout_learning_rate")
VALUES = np.array(
    [[0.1, 0.2, 0.9, 0.95, 1e-3, 1.0, 1.0], [0.03, 0.0, 0.5, 0.99, 1e-8, 2.0, 0.5]], np.float32
)


def run(values):
    tx = adamw(recipe(), **dict(zip(KNOBS, values, strict=True)))
    return after(tx, random(), random(1), steps=3)


def test_every_setting_may_be_traced():
    traced = jax.jit(run)
    for values in VALUES:
        concrete = run([float(v) for v in values])
        for path, leaf in traced(jnp.asarray(values)).items():
            np.testing.assert_allclose(leaf, concrete[path], rtol=1e-5, atol=1e-6)


def test_a_population_of_settings_may_be_mapped_over():
    mapped = jax.jit(jax.vmap(run))(jnp.asarray(VALUES))
    for i, values in enumerate(VALUES):
        alone = run([float(v) for v in values])
        for path in LAYOUT:
            np.testing.assert_allclose(mapped[path][i], alone[path], rtol=1e-5, atol=1e-6)


@settings(max_examples=5, deadline=None)
@given(st.floats(0.01, 0.5), st.floats(0.0, 1.0))
def test_decay_is_decoupled_from_the_gradient(learning_rate, weight_decay):
    gradients = random()
    with_decay, without = (
        after(adamw(recipe(), learning_rate=learning_rate, weight_decay=d), gradients)
        for d in (weight_decay, 0.0)
    )
    for path, rule in recipe().rules(LAYOUT).items():
        lost = learning_rate * rule.learning_rate * weight_decay * rule.weight_decay
        np.testing.assert_allclose(without[path] - with_decay[path], lost, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
def test_a_model_other_than_the_layouts_is_refused(make):
    tx = make(LR, layout=LAYOUT, recipe=recipe())
    missing = ones()
    del missing["hidden"]
    for wrong, odd in ((missing, "hidden"), (ones() | {"extra": jnp.ones(2)}, "extra")):
        with refused(odd):
            tx.init(wrong)


def test_parameters_may_be_any_tree_of_the_layouts_paths():
    nested = Layout(
        {f"a.{path}": dataclasses.replace(p, path=f"a.{path}") for path, p in LAYOUT.items()}
    )
    tx = optim.adamw(LR, DECAY, layout=nested, recipe=recipe(), clip=1.0)
    moved = after(tx, {"a": random()}, {"a": random(1)})
    flat = after(adamw(recipe(), clip=1.0), random(), random(1))
    for path in LAYOUT:
        np.testing.assert_array_equal(moved["a"][path], flat[path])

"""What all optimizers share, by the family of each: one parameter of each role at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from refusals import refused

from transfer import optim
from transfer.scaling import Role

from .leaves import LAYOUT, M, after, ones, random, recipe, shrinkage

pytestmark = pytest.mark.sampled

LR, DECAY = 0.1, 0.2
# Float32 weights of size one lose lr * decay = 2e-2 or less: a rounding is 1e-7 / 2e-3.
CLOSE = 1e-4
# AdamP's decay without gradients, which are orthogonal to anything, is that of the others.
adamp = functools.partial(optim.adamp, wd_ratio=1.0)
MAKERS = {name: each.make for name, each in optim.OPTIMIZERS.items()} | {"adamp": adamp}
FAMILIES = {make: optim.OPTIMIZERS[name].family for name, make in MAKERS.items()}
every = pytest.mark.parametrize("make", FAMILIES, ids=list(MAKERS))
named = pytest.mark.parametrize("name", ["mup", "mean_field"])


@every
@named
def test_a_step_without_gradients_shrinks_each_group_by_its_own_decay(make, name):
    wanted = recipe(name, decay_readout=True)
    lost = shrinkage(make(LR, DECAY, layout=LAYOUT, recipe=wanted))
    for path, rule in wanted.rules(LAYOUT, FAMILIES[make]).items():
        expected = LR * rule.learning_rate * DECAY * rule.weight_decay
        assert lost[path] == pytest.approx(expected, rel=CLOSE)


@every
def test_only_hidden_matrices_decay_by_the_rule_of_the_family(make):
    lost = shrinkage(make(LR, DECAY, layout=LAYOUT, recipe=recipe()))
    kept = 1.0 if FAMILIES[make] != "entrywise" else M**-0.5
    assert lost[Role.HIDDEN] == pytest.approx(LR * DECAY * kept, rel=CLOSE)
    assert {path for path, loss in lost.items() if loss} == {Role.HIDDEN}


# Under gradients of ones, on weights of ones, of rms 1; Muon's is in test_muon.py.
FIRST_STEP = {
    optim.adamw: 1.0,
    # Nesterov's look ahead: b1 m / (1 - b1^2) + g, with m = (1 - b1) g.
    optim.nadam: 1.0 + 0.9 / 1.9,
    optim.adam_atan2: np.pi / 4,
    optim.lion: 1.0,
    adamp: 1.0,
    optim.sgd: 1.0,
    optim.adafactor: 1.0,
}


@pytest.mark.parametrize("make", FIRST_STEP)
@named
def test_the_first_step_is_the_familys_learning_rate_times_its_own_size(make, name):
    moved = after(make(LR, layout=LAYOUT, recipe=recipe(name)), ones())
    for path, rule in recipe(name).rules(LAYOUT, FAMILIES[make]).items():
        expected = LR * rule.learning_rate * FIRST_STEP[make]
        np.testing.assert_allclose(1.0 - moved[path], expected, rtol=CLOSE)


@every
@pytest.mark.parametrize(
    ("knob", "role"),
    [("input_learning_rate", Role.INPUT), ("readout_learning_rate", Role.OUTPUT)],
)
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


@every
def test_the_learning_rate_may_be_a_schedule(make):
    """It meets the recipe's factors step by step, and decay follows it."""
    scheduled = make(optim.schedule("linear", 2), DECAY, layout=LAYOUT, recipe=recipe())
    parameters, state = random(1), scheduled.init(random(1))
    for value in (1.0, 0.5, 0.0):
        # Without gradients nothing but the learning rate and the decay is seen.
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        wanted = after(make(value, DECAY, layout=LAYOUT, recipe=recipe()), zeros, parameters)
        updates, state = scheduled.update(zeros, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        for path in LAYOUT:
            np.testing.assert_allclose(parameters[path], wanted[path], rtol=1e-6)


SHARED = {
    "learning_rate": (0.1, 0.03),
    "weight_decay": (0.2, 0.0),
    "input_learning_rate": (1.0, 2.0),
    "readout_learning_rate": (1.0, 0.5),
}
MOMENTS = {"b1": (0.9, 0.5), "b2": (0.95, 0.99)}
OWN = {
    optim.adamw: MOMENTS | {"eps": (1e-3, 1e-8)},
    optim.nadam: MOMENTS | {"eps": (1e-3, 1e-8)},
    optim.sgd: {"momentum": (0.9, 0.5)},
    optim.adam_atan2: MOMENTS | {"a": (1.0, 1.27), "b": (1.0, 0.5)},
    optim.lion: MOMENTS,
    optim.adamp: MOMENTS | {"eps": (1e-3, 1e-8), "delta": (1.2, 0.1), "wd_ratio": (0.1, 0.3)},
    optim.adafactor: {
        "decay_rate": (0.8, 0.7),
        "clipping_threshold": (1.0, 0.7),
        "eps": (1e-30, 1e-2),
        "min_scale": (1e-3, 1.1),
    },
    optim.muon: MOMENTS | {"eps": (1e-3, 1e-8), "momentum": (0.95, 0.8)},
}


@pytest.mark.parametrize("make", OWN)
def test_a_population_of_settings_may_be_mapped_over(make):
    """Every setting is a traced value."""
    settings = SHARED | OWN[make]

    def run(values):
        tx = make(layout=LAYOUT, recipe=recipe(), **dict(zip(settings, values, strict=True)))
        return after(tx, random(), random(1), steps=2)

    values = np.array(list(settings.values()), np.float32).T
    mapped = jax.jit(jax.vmap(run))(jnp.asarray(values))
    for i, each in enumerate(values):
        alone = run([float(value) for value in each])
        for path in LAYOUT:
            # Muon's iterations raise a rounding of 1e-7 at most 480 times.
            np.testing.assert_allclose(mapped[path][i], alone[path], rtol=1e-5, atol=1e-5)
    for path in LAYOUT:
        assert not np.allclose(mapped[path][0], mapped[path][1], atol=1e-3)


@every
def test_a_model_other_than_the_layouts_is_refused(make):
    with refused("extra"):
        make(LR, layout=LAYOUT, recipe=recipe()).init(ones() | {"extra": jnp.ones(2)})


# A direction of one's own.


@pytest.mark.parametrize("family", ["entrywise", "linear", "relative", "spectral"])
def test_a_direction_takes_the_learning_rates_of_the_family_it_is_said_to_be_of(family):
    tx = optim.scaled(optax.identity(), LR, DECAY, family=family, layout=LAYOUT, recipe=recipe())
    moved = after(tx, ones())
    for path, rule in recipe().rules(LAYOUT, family).items():
        expected = LR * rule.learning_rate * (1.0 + DECAY * rule.weight_decay)
        np.testing.assert_allclose(1.0 - moved[path], expected, rtol=CLOSE)


def test_the_epsilon_of_a_direction_follows_the_size_of_its_gradient():
    yogi = optax.scale_by_yogi(eps=1.0)
    tx = optim.scaled(
        yogi, LR, family="entrywise", layout=LAYOUT, recipe=recipe(), rescale_gradients=True
    )
    moved = after(tx, ones(), steps=1)
    for path, rule in recipe().rules(LAYOUT).items():
        step, _ = yogi.update(ones()[path] / rule.epsilon, yogi.init(ones()[path]))
        expected = LR * rule.learning_rate * step
        np.testing.assert_allclose(1.0 - moved[path], expected, rtol=CLOSE)


def test_adamw_is_a_direction_of_optax():
    ours = optim.adamw(LR, DECAY, layout=LAYOUT, recipe=recipe(), eps=0.1, clip=1.0)
    theirs = optim.scaled(
        optax.scale_by_adam(b2=0.95, eps=0.1),
        LR,
        DECAY,
        family="entrywise",
        layout=LAYOUT,
        recipe=recipe(),
        clip=1.0,
        rescale_gradients=True,
    )
    one, other = (after(tx, random(), random(1), steps=3) for tx in (ours, theirs))
    for path in LAYOUT:
        np.testing.assert_array_equal(one[path], other[path])


def test_an_unknown_family_is_refused():
    with refused("spectrl", "spectral"):
        optim.scaled(optax.identity(), LR, family="spectrl", layout=LAYOUT, recipe=recipe())


def moved_by_gradients_times(scale, make):
    tx = make(LR, DECAY, layout=LAYOUT, recipe=recipe())
    gradients = jax.tree.map(lambda leaf: scale * leaf, random())
    return after(tx, gradients, random(1), steps=3)


@pytest.mark.parametrize("make", [optim.adam_atan2, optim.lion])
@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_without_an_epsilon_no_size_of_the_gradient_is_seen(make, scale):
    """To the last bit."""
    one, other = (moved_by_gradients_times(each, make) for each in (1.0, scale))
    for path in LAYOUT:
        np.testing.assert_array_equal(one[path], other[path])


def test_with_one_it_is():
    one, other = (moved_by_gradients_times(each, optim.adamw) for each in (1.0, 2.0**-40))
    for path in LAYOUT:
        assert np.max(np.abs(one[path] - other[path])) > 1e-2

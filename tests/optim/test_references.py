"""Every optimizer against its own paper, at four times the base width, with every kind of weight.

The references know a matrix, a learning rate, a decay and an epsilon; that each weight is the right
matrix and gets the right four is the library's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transfer import optim
from transfer.scaling import Recipe, Role

from . import references
from .leaves import LAYOUT, random

LR, DECAY, STEPS = 0.03, 0.2, 4
# Float64, four steps: an error of 1e-16 grows at most by Muon's slope at 0, 3.4445^5 = 480.
ROUNDING = 1e-12

MOMENTS = {"b1": 0.8, "b2": 0.9}
ADAM = MOMENTS | {"eps": 0.3}
SETTINGS = {
    "adamw": ADAM,
    "nadam": ADAM,
    "sgd": {"momentum": 0.7, "nesterov": False},
    "adam_atan2": MOMENTS | {"a": 1.27, "b": 0.7},
    "lion": MOMENTS,
    "adamp": ADAM | {"delta": 1.2, "wd_ratio": 0.3},
    # Steps before clipping are 0.5 to 1.1 large, weights 0.3 to 1.1.
    "adafactor": {"decay_rate": 0.7, "eps": 0.1, "clipping_threshold": 0.9, "min_scale": 0.8},
    "muon": ADAM | {"momentum": 0.85, "nesterov": True},
}
VARIANTS = [
    *SETTINGS.items(),
    ("sgd", {"momentum": 0.7, "nesterov": True}),
    ("muon", SETTINGS["muon"] | {"nesterov": False}),
]


def test_every_optimizer_has_a_reference():
    assert set(SETTINGS) == set(optim.OPTIMIZERS)


def expected(name, settings, parameter, rule, weight, gradients):
    """The reference's weight, given what the recipe prescribes for it."""
    beside_adamw = (name == "muon" and rule.role != Role.HIDDEN) or (
        name == "adamp" and parameter.axes.inputs is None
    )
    name, settings = ("adamw", dict(ADAM)) if beside_adamw else (name, dict(settings))
    if name == "muon":
        fan_in, fan_out = parameter.fan_in / parameter.m_in, parameter.fan_out / parameter.m_out
        settings = {
            "momentum": settings["momentum"],
            "nesterov": settings["nesterov"],
            # It meets the norm of a matrix of gradients, not one of them.
            "eps": settings["eps"] * rule.epsilon * (parameter.m_in * parameter.m_out) ** 0.5,
            "shape": max(1.0, fan_out / fan_in) ** 0.5,
        }
    elif name == "adafactor":
        settings["eps"] *= rule.epsilon**2
        settings["min_scale"] *= rule.std
    elif "eps" in settings:
        settings["eps"] *= rule.epsilon
    lr, decay = LR * rule.learning_rate, DECAY * rule.weight_decay
    return getattr(references, name)(weight, gradients, lr, decay, **settings)


def trained(tx, gradients, parameters):
    state = tx.init(parameters)
    for each in gradients:
        updates, state = tx.update(each, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    return parameters


def matrices(leaf, parameter):
    return np.asarray(leaf).reshape(-1, parameter.fan_in, parameter.fan_out)


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
@pytest.mark.parametrize("form", ["mup", "mean_field", "standard"])
def test_it_is_the_papers(name, settings, form):
    recipe = Recipe(form, rates="full", decay="sqrt", decay_readout=True)
    with jax.enable_x64(True):
        start = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), random(1))
        gradients = [
            jax.tree.map(lambda leaf: leaf.astype(jnp.float64), random(2 + step))
            for step in range(STEPS)
        ]
        tx = getattr(optim, name)(LR, DECAY, layout=LAYOUT, recipe=recipe, **settings)
        ours = trained(tx, gradients, start)
        for path, rule in recipe.rules(LAYOUT, optim.OPTIMIZERS[name].family).items():
            parameter = LAYOUT[path]
            stacked = [matrices(each[path], parameter) for each in (start, ours, *gradients)]
            for weight, got, *steps in zip(*stacked, strict=True):
                wanted = expected(name, settings, parameter, rule, weight, steps)
                np.testing.assert_allclose(got, wanted, rtol=ROUNDING, atol=ROUNDING)
                assert np.max(np.abs(wanted - weight)) > 1e-3


def test_adamp_projects_by_channel_by_layer_and_not_at_all():
    """The weights that it is compared on above are of all three kinds."""
    seen = {
        references.scale_invariant_view(weight, gradient, SETTINGS["adamp"]["delta"])
        for step in range(STEPS)
        for path, parameter in LAYOUT.items()
        if parameter.axes.inputs
        for weight, gradient in zip(
            *(matrices(tree[path], parameter) for tree in (random(1), random(2 + step))),
            strict=True,
        )
    }
    assert seen == {"channel", "layer", ""}

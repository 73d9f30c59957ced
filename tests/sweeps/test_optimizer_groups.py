"""Parameter groups for other libraries: names, and values with multipliers folded in."""

import re

import numpy as np
import optax
import pytest
from refusals import refused

from transfer.config import read
from transfer.models.export import folded_parameters
from transfer.optim import adamw
from transfer.sweeps import optimizer_groups
from transfer.sweeps.target_values import multiplier_values

SIZES = {"width": 32, "layers": 2, "head_dim": 8, "vocabulary": 11, "dtype": "float32"}


def group(recipe="mup", **model):
    return read(
        {
            "base_width": 16,
            "model": {**SIZES, **model},
            "recipe": {"name": f"{recipe}+sqrt"},
            "hyperparameters": {"learning_rate": 2.0**-5, "weight_decay": 0.1},
        }
    ).single_run()


def by_name(found):
    return {name: each for each in found.groups for name in each["names"]}


def test_groups_of_a_llama_in_numbers():
    found = by_name(optimizer_groups(group("mup_table3", head_dim=0, heads=4), "torch"))
    # Hidden matrices: lr / 2 and decay x sqrt(2) at twice the base width; vectors have no decay.
    up = found["model.layers.*.mlp.up_proj.weight"]
    assert up["lr"] == 2.0**-6
    assert up["weight_decay"] == pytest.approx(0.1 * 2**0.5)
    gain = found["model.layers.*.input_layernorm.weight"]
    assert (gain["lr"], gain["weight_decay"], gain["init_std"]) == (2.0**-5, 0.0, None)
    # The logits' multiplier, 1 / head_dim x sqrt(head_dim) of LLaMA's own, is in the query.
    query, key = (found[f"model.layers.*.self_attn.{name}_proj.weight"] for name in "qk")
    scale = query["lr"] / key["lr"]
    assert scale != 1
    assert query["eps"] == pytest.approx(key["eps"] / scale)
    assert query["weight_decay"] == pytest.approx(key["weight_decay"] / scale)
    assert len(found) == 12  # every name of a LLaMA, once


@pytest.mark.parametrize("recipe", ["standard", "ntk", "mup", "mup_table9", "mean_field"])
def test_folded_weights_take_the_same_steps(recipe):
    """A weight times its multipliers, with the groups' settings, stays that times our weight."""
    trial = group(recipe, head_dim=0, heads=4)
    layout, spec = trial.layout, trial.trials[0]
    random = np.random.default_rng(0)

    def drawn(scale):
        return {
            path: scale * random.normal(size=each.shape).astype("f4")
            for path, each in layout.parameters.items()
        }

    start, gradients = drawn(1.0), [drawn(1e-3) for _ in range(3)]
    tx = adamw(2.0**-5, 0.1, layout=layout.parameters, recipe=spec.recipe)
    ours = trained(tx, start, gradients)
    groups = by_name(optimizer_groups(trial, "torch"))
    folded = folded_parameters(trial.model, layout, multiplier_values(trial))
    assert {each.path for each in folded.values()} == set(layout.parameters)
    assert recipe == "standard" or any(each.scale != 1 for each in folded.values())
    for name, (path, scale) in folded.items():
        own = groups[re.sub(r"layers\.\d+", "layers.*", name)]
        theirs = trained(
            optax.adamw(
                own["lr"], b1=0.9, b2=0.95, eps=own["eps"], weight_decay=own["weight_decay"]
            ),
            scale * start[path],
            [each[path] / scale for each in gradients],
        )
        # In float32 after three steps.
        np.testing.assert_allclose(theirs, scale * ours[path], rtol=2e-5, atol=1e-6 * scale)


def trained(tx, weights, gradients):
    state = tx.init(weights)
    for gradient in gradients:
        updates, state = tx.update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
    return weights


def test_groups_for_optax_have_own_paths_and_multipliers():
    found = optimizer_groups(group("mup"), "optax")
    named = by_name(found)
    assert named["blocks.feed_forward.up.kernel"]["learning_rate"] == 2.0**-6
    assert named["readout.kernel"]["multiplier"] == 0.5
    assert any("logit_multiplier" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changes", "library", "names"),
    [
        ({"training": {"optimizer": "lion"}}, "torch", ("lion", "adamw")),
        ({"model": {**SIZES, "tied": True}}, "torch", ("model.tied",)),
        ({"model": {"kind": "resnet"}, "data": {"kind": "images"}}, "torch", ("ResNetConfig",)),
    ],
)
def test_what_has_no_groups_is_refused(changes, library, names):
    trial = read({"base_width": 16, "model": SIZES} | changes).single_run()
    with refused(*names):
        optimizer_groups(trial, library)

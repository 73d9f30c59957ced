"""The real draws, and the multipliers that go with them."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from refusals import refused

from transfer.models import MLPConfig, TransformerConfig, initialize, model_layout
from transfer.scaling import PARAMETRIZATIONS, Hyperparameters, Recipe

from .drawn import MLP, SMALL, draw, forward, jit, logits

WIDE_MLP = MLPConfig(width=256, layers=2, features=40, outputs=40, biases=True)
WIDE = TransformerConfig(
    width=128, layers=2, vocabulary=64, head_dim=16, queries_per_kv_head=2, dtype="float32"
)


def real(config, recipe, *, base_width, seed=0, **multipliers):
    layout = model_layout(config, base_width)
    settings = Hyperparameters(learning_rate=1.0, **multipliers)
    start = jit(lambda key: initialize(config, layout, recipe, settings, key))
    return layout, *start(jax.random.key(seed))


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", np.asarray(value, np.float64)


def assert_drawn(layout, parameters, recipe, scale=1.0):
    for path, leaf in flat(parameters):
        std = recipe.init_std(layout.parameters[path])
        if std is None:
            assert np.ptp(leaf) == 0
            continue
        # Five standard errors of a mean and of a standard deviation of that many draws.
        error = 5 * std * scale / math.sqrt(leaf.size)
        assert abs(leaf.std() - std * scale) < error, path
        assert abs(leaf.mean()) < error, path


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_every_weight_of_a_perceptron_has_the_std_of_its_recipe(name):
    layout, parameters, _ = real(WIDE_MLP, Recipe(name), base_width=32)
    assert_drawn(layout, parameters, Recipe(name))


@pytest.mark.parametrize("name", ["mup", "mean_field"])
def test_every_weight_of_a_transformer_has_the_std_of_its_recipe(name):
    layout, parameters, _ = real(WIDE, Recipe(name), base_width=32)
    assert_drawn(layout, parameters, Recipe(name))


def test_stds_at_the_base_width_are_the_models_own():
    _, parameters, _ = real(WIDE, Recipe(), base_width=WIDE.width)
    found = {path: leaf.std() for path, leaf in flat(parameters)}
    branch = 1 / math.sqrt(2 * WIDE.layers)
    for path, std in {
        "embedding.table": 1.0,
        "blocks.attention.query.kernel": WIDE.width**-0.5,
        "blocks.attention.out.kernel": branch * WIDE.width**-0.5,
        "blocks.feed_forward.up.kernel": WIDE.width**-0.5,
        "blocks.feed_forward.down.kernel": branch * WIDE.feed_forward**-0.5,
        "readout.kernel": WIDE.width**-0.5,
    }.items():
        # 8192 draws or more: 0.8% each, five times that.
        assert found[path] == pytest.approx(std, rel=0.04)


def test_layers_are_drawn_apart():
    _, parameters, _ = real(SMALL, Recipe(), base_width=8)
    for path, leaf in flat(parameters["blocks"]):
        assert "norm" in path or not np.array_equal(leaf[0], leaf[1]), path


def test_the_spectral_initializer_sets_the_spectral_norm():
    recipe = Recipe("mup_table3", initializer="spectral")
    _, parameters, _ = real(WIDE_MLP, recipe, base_width=32)
    for layer, ratio in ((1, 1.0), (2, 40 / 256)):
        kernel = np.asarray(_at(parameters["layers"], layer)["linear"]["kernel"])
        # The largest singular value of a Gaussian matrix scatters by width^-2/3.
        assert np.linalg.norm(kernel, 2) == pytest.approx(math.sqrt(ratio), rel=0.06)


def test_draws_are_those_of_the_key_and_the_same_for_all_recipes():
    one, again, other = (real(MLP, Recipe(), base_width=4, seed=seed)[1] for seed in (0, 0, 1))
    for (path, leaf), (_, same), (_, different) in zip(
        flat(one), flat(again), flat(other), strict=True
    ):
        np.testing.assert_array_equal(leaf, same)
        assert path.endswith("bias") or not np.array_equal(leaf, different)
    ntk = real(MLP, Recipe("ntk"), base_width=4)[1]
    for (_, leaf), (path, scaled) in zip(flat(one), flat(ntk), strict=True):
        if not path.endswith("bias"):
            np.testing.assert_allclose(
                leaf / leaf.ravel()[0], scaled / scaled.ravel()[0], rtol=1e-5
            )


def test_a_float64_model_is_the_float32_draw_scaled_exactly():
    single = dict(flat(real(MLP, Recipe(), base_width=4)[1]))
    with jax.enable_x64(True):
        double_config = dataclasses.replace(MLP, dtype="float64")
        _, parameters, multipliers = real(double_config, Recipe(), base_width=4)
        leaves = jax.tree.leaves((parameters, multipliers))
        assert {leaf.dtype for leaf in leaves} == {np.dtype("float64")}
        double = dict(flat(parameters))
    for path, leaf in single.items():
        if path.endswith("bias"):
            continue
        ratio = double[path] / double[path].ravel()[0]
        np.testing.assert_allclose(leaf / leaf.ravel()[0], ratio, rtol=1e-5)


def test_a_float64_model_is_refused_where_jax_would_take_float32():
    with refused("float64", "float32", "JAX_ENABLE_X64"):
        real(dataclasses.replace(MLP, dtype="float64"), Recipe(), base_width=4)


# Multipliers, at twice the base width.


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_multipliers_are_those_of_the_recipe(name):
    layout = model_layout(SMALL, 8)
    for path, leaf in flat(draw(SMALL, Recipe(name))[1]):
        np.testing.assert_allclose(
            leaf, Recipe(name).multiplier(layout.multipliers[path]), rtol=1e-6
        )


def test_a_stack_has_one_multiplier_per_layer():
    _, multipliers = draw(SMALL)
    for path, leaf in flat(multipliers):
        assert leaf.shape == ((SMALL.layers,) if path.startswith("blocks") else ()), path


@pytest.mark.parametrize(
    ("knob", "moved"),
    [
        ("embedding_output", {"embedding.multiplier"}),
        ("readout_output", {"readout.multiplier"}),
        ("attention_logits", {"blocks.attention.logit_multiplier"}),
    ],
)
def test_a_hyperparameter_scales_its_multiplier_alone(knob, moved):
    (weights, plain), (same, turned) = draw(SMALL), draw(SMALL, **{knob: 3.0})
    for (path, one), (_, other) in zip(flat(plain), flat(turned), strict=True):
        np.testing.assert_allclose(other / one, 3.0 if path in moved else 1.0, rtol=1e-6)
    for (_, one), (_, other) in zip(flat(weights), flat(same), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_readouts_of_a_tied_table_and_of_a_perceptron_are_scaled_too():
    tied = dataclasses.replace(SMALL, tied=True)
    (_, plain), (_, turned) = draw(tied), draw(tied, readout_output=3.0)
    changed = {
        path
        for (path, one), (_, other) in zip(flat(plain), flat(turned), strict=True)
        if not np.array_equal(one, other)
    }
    assert changed == {"embedding.readout_multiplier"}
    # Features enter a perceptron where tokens enter a transformer.
    for knob, layer in (("embedding_output", 0), ("readout_output", 2)):
        (_, plain), (_, turned) = draw(MLP), draw(MLP, **{knob: 3.0})
        changed = [
            path
            for (path, one), (_, other) in zip(flat(plain), flat(turned), strict=True)
            if not np.array_equal(one, other)
        ]
        assert changed == [f"layers.{layer}.linear.multiplier"]


def test_the_init_scale_scales_all_random_weights():
    (plain, scales), (turned, same) = draw(SMALL), draw(SMALL, init_scale=0.5)
    for (path, one), (_, other) in zip(flat(plain), flat(turned), strict=True):
        np.testing.assert_allclose(other / one, 1.0 if "norm" in path else 0.5, rtol=1e-6)
    for (_, one), (_, other) in zip(flat(scales), flat(same), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_forward_pass_scales_by_readout_and_embedding():
    parameters, _ = draw(SMALL)
    base = logits(SMALL, parameters, draw(SMALL)[1])
    np.testing.assert_allclose(
        logits(SMALL, parameters, draw(SMALL, readout_output=3.0)[1]),
        3 * base,
        rtol=1e-5,
        atol=1e-6,  # the rounding of a sum of terms of size one
    )
    for knob in ("embedding_output", "attention_logits"):
        assert not np.allclose(logits(SMALL, parameters, draw(SMALL, **{knob: 3.0})[1]), base)


def test_the_attention_logits_knob_sharpens_attention():
    """At zero the past is averaged, whatever the queries say."""
    config = dataclasses.replace(SMALL, layers=1)
    parameters, multipliers = draw(config, attention_logits=0.0)
    blocks = parameters["blocks"]
    zero = blocks["attention"]["query"]["kernel"] * 0
    attention = blocks["attention"] | {"query": {"kernel": zero}}
    without = parameters | {"blocks": blocks | {"attention": attention}}
    np.testing.assert_array_equal(
        logits(config, parameters, multipliers), logits(config, without, multipliers)
    )


def test_a_perceptron_is_the_composition_of_its_layers():
    parameters, multipliers = draw(MLP, Recipe("mean_field"), base_width=2)
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    y = x.astype(np.float64)
    for i in range(3):
        weights, scale = (_at(tree["layers"], i) for tree in (parameters, multipliers))
        y = y @ (np.asarray(weights["linear"]["kernel"]) * scale["linear"]["multiplier"])
        y = y + np.asarray(weights["bias"])
        if i < 2:
            y = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
    np.testing.assert_allclose(forward(MLP)(parameters, multipliers, x), y, rtol=1e-4, atol=1e-5)


def _at(layers, index):
    return layers[index] if index in layers else layers[str(index)]

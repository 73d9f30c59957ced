import dataclasses
import functools

import jax
import numpy as np
import pytest
from refusals import refused

from transfer.models import TransformerConfig, initialize, model_layout
from transfer.probes import top_singular_values
from transfer.scaling import Hyperparameters, Recipe, Role

CONFIG = TransformerConfig(
    width=32, layers=2, vocabulary=7, head_dim=8, queries_per_kv_head=2, dtype="float32"
)
LAYOUT = model_layout(CONFIG, base_width=16)


@functools.cache
def parameters(recipe: str):
    one = Hyperparameters(learning_rate=1.0)
    draw = jax.jit(
        lambda key: initialize(CONFIG, LAYOUT, Recipe.parse(recipe), one, key),
        # Drawing so little does not pay for optimized code.
        compiler_options={"xla_backend_optimization_level": 0},
    )
    return draw(jax.random.key(0))[0]


def test_they_are_numpys_for_every_hidden_matrix_and_layer():
    trained = parameters("mup")
    sigma = top_singular_values(trained, LAYOUT.parameters, k=3)

    hidden = {path for path, each in LAYOUT.parameters.items() if each.role == Role.HIDDEN}
    assert set(sigma) == hidden
    blocks = trained["blocks"]
    for path, kernel, rows in (
        ("attention.query", blocks["attention"]["query"]["kernel"], 32),
        ("attention.key", blocks["attention"]["key"]["kernel"], 32),
        # Heads and head dimension are both summed over here: a kernel's first axis is not its rows.
        ("attention.out", blocks["attention"]["out"]["kernel"], 32),
        ("feed_forward.down", blocks["feed_forward"]["down"]["kernel"], 96),
    ):
        for layer in range(2):
            matrix = np.asarray(kernel[layer], np.float64).reshape(rows, -1)
            expected = np.linalg.svd(matrix, compute_uv=False)[:3]
            np.testing.assert_allclose(sigma[f"blocks.{path}.kernel"][layer], expected, rtol=1e-5)


def test_k_is_capped_by_the_smaller_side():
    sigma = top_singular_values(parameters("mup"), LAYOUT.parameters, k=100)
    assert sigma["blocks.attention.key.kernel"].shape == (2, 16)
    assert sigma["blocks.feed_forward.up.kernel"].shape == (2, 32)


@pytest.mark.parametrize("form", ["mup_table3", "mup_table9", "mean_field"])
def test_forms_of_one_class_agree_on_effective_weights(form):
    expected, effective = (
        top_singular_values(parameters(name), LAYOUT.parameters, recipe=Recipe(name))
        for name in ("mup", form)
    )
    for path, values in expected.items():
        np.testing.assert_allclose(effective[path], values, rtol=1e-5)


def test_without_a_recipe_a_multiplier_is_left_out():
    trained, layout = parameters("ntk"), LAYOUT.parameters
    raw = top_singular_values(trained, layout)["blocks.feed_forward.up.kernel"]
    effective = top_singular_values(trained, layout, recipe=Recipe("ntk"))
    np.testing.assert_allclose(effective["blocks.feed_forward.up.kernel"], raw * 2**-0.5, rtol=1e-6)


@pytest.mark.parametrize("pairs", [None, 4])
def test_a_model_of_another_width_than_the_layouts_is_refused(pairs):
    narrow = model_layout(dataclasses.replace(CONFIG, width=16), base_width=16).parameters
    with refused("blocks.attention.key.kernel", 32, 16):
        top_singular_values(parameters("mup"), narrow, pairs=pairs)


def test_no_singular_values_are_refused():
    with refused("k", 0):
        top_singular_values(parameters("mup"), LAYOUT.parameters, k=0)

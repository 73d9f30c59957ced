"""Flax's own layers, with the state and the random keys they keep."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from .inferred import FEATURES, ROWS, SEQUENCES, axes_of

VECTOR = "0"
MATRIX = "0 -> 1"


@pytest.mark.parametrize("cell", [nnx.SimpleCell, nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell])
def test_recurrent_cells_of_nnx(cell):
    found = axes_of(lambda n: nnx.RNN(cell(FEATURES, n, rngs=nnx.Rngs(0))), SEQUENCES)
    assert {path.rpartition(".")[2]: axes for path, axes in found.items()} == {
        "kernel": MATRIX,
        "bias": VECTOR,
    }


@pytest.mark.parametrize(
    "cell",
    [linen.SimpleCell, linen.LSTMCell, linen.OptimizedLSTMCell, linen.GRUCell, linen.MGUCell],
)
def test_recurrent_cells_of_linen(cell):
    found = axes_of(lambda n: linen.RNN(cell(n)), SEQUENCES)
    assert {path.rpartition(".")[2]: axes for path, axes in found.items()} == {
        "kernel": MATRIX,
        "bias": VECTOR,
    }


def test_batch_statistics_and_dropout_keys_of_nnx():
    found = axes_of(
        lambda n: nnx.Sequential(
            nnx.Linear(FEATURES, n, rngs=nnx.Rngs(0)),
            nnx.BatchNorm(n, rngs=nnx.Rngs(0)),
            nnx.Dropout(0.5, rngs=nnx.Rngs(0)),
        ),
        ROWS,
    )
    # Only parameters: neither the mean and the variance nor the keys.
    assert found == {
        "layers.0.bias": VECTOR,
        "layers.0.kernel": MATRIX,
        "layers.1.bias": VECTOR,
        "layers.1.scale": VECTOR,
    }


@pytest.mark.parametrize("training", [False, True])
def test_batch_statistics_and_dropout_keys_of_linen(training):
    found = axes_of(
        lambda n: linen.Sequential(
            [
                linen.Dense(n),
                linen.BatchNorm(use_running_average=not training),
                linen.Dropout(0.5, deterministic=not training),
            ]
        ),
        ROWS,
        (
            lambda model, variables, x: model.apply(
                variables, x, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
            )
        )
        if training
        else None,
    )
    assert found == {
        "layers_0.bias": VECTOR,
        "layers_0.kernel": MATRIX,
        "layers_1.bias": VECTOR,
        "layers_1.scale": VECTOR,
    }


def test_norms():
    found = axes_of(
        lambda n: nnx.Sequential(
            nnx.Linear(FEATURES, n, use_bias=False, rngs=nnx.Rngs(0)),
            nnx.LayerNorm(n, rngs=nnx.Rngs(0)),
            nnx.RMSNorm(n, rngs=nnx.Rngs(0)),
            nnx.GroupNorm(n, num_groups=4, rngs=nnx.Rngs(0)),
        ),
        SEQUENCES,
    )
    assert found.pop("layers.0.kernel") == MATRIX
    assert set(found.values()) == {VECTOR}
    assert len(found) == 5


def test_weight_norm_of_linen():
    found = axes_of(
        lambda n: linen.Sequential([linen.Dense(n), linen.WeightNorm(linen.Dense(n))]), ROWS
    )
    assert found["layers_1.layer_instance.kernel"] == MATRIX
    assert found["layers_1.layer_instance/kernel/scale"] == VECTOR


def test_attention_of_linen():
    attention = linen.MultiHeadDotProductAttention
    found = axes_of(
        lambda n: linen.Sequential([linen.Dense(n), attention(num_heads=n // 4)]), SEQUENCES
    )
    for name in ("query", "key", "value"):
        assert found[f"layers_1.{name}.kernel"] == "0 -> 1 2"
        assert found[f"layers_1.{name}.bias"] == "0 1"
    assert (found["layers_1.out.kernel"], found["layers_1.out.bias"]) == ("0 1 -> 2", VECTOR)


def test_partitioned_parameters_of_linen_have_plain_paths():
    def init(key, shape, dtype):
        return jax.nn.initializers.lecun_normal()(key, shape, dtype)

    boxed = linen.with_partitioning(init, ("embed", "hidden"))
    found = axes_of(lambda n: linen.Dense(n, kernel_init=boxed), ROWS)
    assert found == {"bias": VECTOR, "kernel": MATRIX}


def test_a_parameter_of_no_axes():
    class Scaled(nnx.Module):
        def __init__(self, n):
            self.linear = nnx.Linear(FEATURES, n, rngs=nnx.Rngs(0))
            self.scale = nnx.Param(jnp.ones(()))

        def __call__(self, x):
            return self.scale[...] * self.linear(x)

    assert axes_of(Scaled, ROWS)["scale"] == ""

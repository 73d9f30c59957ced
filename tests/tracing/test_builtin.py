"""What is inferred of the models here agrees with what they declare."""

import dataclasses

import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.models import (
    CNNConfig,
    MLPConfig,
    ResNetConfig,
    TransformerConfig,
    model_layout,
)
from transfer.tracing import infer_layout

from .inferred import example

BASE = 16
SMALL = TransformerConfig(
    width=BASE, layers=2, vocabulary=13, head_dim=4, feed_forward_multiple=1.5, dtype="float32"
)
RESNET = ResNetConfig(width=BASE, stages=(1, 1), group_size=8, dtype="float32")
PERCEPTRON = MLPConfig(width=BASE, layers=2, features=5, outputs=3)


def facts(layout):
    return {
        path: {
            "role": parameter.role,
            "fans": (parameter.fan_in, parameter.fan_out),
            "m": (parameter.m_in, parameter.m_out),
            "stack": [parameter.shape[place] for place in range(len(parameter.axes.stack))],
            "tied": parameter.tied,
            "shapes": (parameter.shape, parameter.base_shape),
        }
        for path, parameter in layout.items()
    }


def assert_inferred_as_declared(config, width):
    inferred = infer_layout(
        lambda n: dataclasses.replace(config, width=n).build(nnx.Rngs(0)),
        base_width=BASE,
        width=width,
        inputs=_example(config),
    )
    declared = model_layout(dataclasses.replace(config, width=width), BASE).parameters
    assert facts(inferred) == facts(declared)


def _example(config):
    if isinstance(config, MLPConfig):
        return example(3, config.features)
    if isinstance(config, (CNNConfig, ResNetConfig)):
        return example(2, 8, 8, config.image_channels)
    return example(2, 6, dtype="int32")


@pytest.mark.parametrize(
    "config",
    [
        RESNET,
        dataclasses.replace(RESNET, norm="group", pre_activation=True, dtype="bfloat16"),
        dataclasses.replace(RESNET, norm="layer", block="bottleneck", stem="imagenet"),
        dataclasses.replace(RESNET, block="bottleneck", zero_init_branch=True),
        # As many channels as the base width: no shape tells the stem from the rest.
        dataclasses.replace(RESNET, image_channels=BASE, classes=BASE),
        CNNConfig(width=BASE),
    ],
    ids=str,
)
@pytest.mark.parametrize("width", [BASE, 48])
def test_convolutional_networks(config, width):
    assert_inferred_as_declared(dataclasses.replace(config, width=width), width)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"queries_per_kv_head": 2},
        {"qk_norm": True},
        {"tied": True},
        {"head_dim": 0, "heads": 4},
        {"head_dim": 0, "heads": 4, "qk_norm": True},
        {"remat": "full"},
        {"norm_gains": False},
        # As many layers as words and as features: no shape tells a stack from a table.
        {"layers": 13, "qk_norm": True},
        {"dtype": "bfloat16", "remat": "full", "queries_per_kv_head": 2, "qk_norm": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("width", [BASE, 48])
def test_transformers(fields, width):
    assert_inferred_as_declared(dataclasses.replace(SMALL, **fields), width)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("width", [4, BASE, 48])
def test_perceptrons(biases, width):
    assert_inferred_as_declared(dataclasses.replace(PERCEPTRON, biases=biases), width)


# Each example traces four models; 12 of them take a few seconds.
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    fixed_heads=st.booleans(),
    grouped=st.booleans(),
    layers=st.integers(1, 3),
    vocabulary=st.sampled_from([3, 16, 32]),
    multiple=st.sampled_from([1.0, 1.5, 3.0]),
    flags=st.fixed_dictionaries(
        {name: st.booleans() for name in ("qk_norm", "norm_gains", "tied", "zero_init_readout")}
    ),
    times=st.sampled_from([1, 2, 3]),
)
def test_any_transformer(fixed_heads, grouped, layers, vocabulary, multiple, flags, times):
    config = dataclasses.replace(
        SMALL,
        head_dim=0 if fixed_heads else 4,
        heads=4 if fixed_heads else 0,
        queries_per_kv_head=2 if grouped else 1,
        layers=layers,
        # A vocabulary of the base width, or of the target's, is an embedding all the same.
        vocabulary=vocabulary,
        feed_forward_multiple=multiple,
        **flags,
    )
    assert_inferred_as_declared(config, times * BASE)

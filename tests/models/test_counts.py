"""Counts of parameters, FLOPs and activations: by hand, as published, and how they grow."""

import dataclasses

import jax
import numpy as np
import pytest

from transfer.models import CNNConfig, MLPConfig, ResNetConfig, TransformerConfig
from transfer.models.counts import Counts, count
from transfer.scaling.compound import COMPOUNDS

RESNET_50 = ResNetConfig(stages=(3, 4, 6, 3), block="bottleneck", stem="imagenet", classes=1000)


def images(size, channels=3):
    return jax.ShapeDtypeStruct((1, size, size, channels), "float32")


def test_a_plain_network_by_hand():
    # 7x7 pixels, then 4x4: rounded up.
    stem, layer = (49 * 6, 9 * 2), (16 * 6, 9 * 6)
    readout = (5, 6)
    assert count(CNNConfig(width=6, layers=1, image_channels=2, classes=5), images(7, 2)) == Counts(
        parameters=9 * 2 * 6 + 9 * 6 * 6 + 6 * 5,
        flops=2 * sum(outputs * terms for outputs, terms in (stem, layer, readout)),
        activations=49 * 6 + 16 * 6 + 5,
    )


def test_a_residual_network_by_hand():
    config = ResNetConfig(width=4, stages=(1, 1), classes=3)
    # Outputs and terms of stem, first block, second block, its shortcut, readout.
    products = [
        (64 * 4, 27),
        *[(64 * 4, 36)] * 2,
        (16 * 8, 36),
        (16 * 8, 72),
        (16 * 8, 4),
        (3, 8),
    ]
    kernels = 27 * 4 + 2 * 36 * 4 + 36 * 8 + 72 * 8 + 4 * 8 + 8 * 3
    # Stem and first block have a norm each of 4 channels thrice, the second three of 8.
    norms, bias = 2 * (3 * 4 + 3 * 8), 3
    assert count(config, images(8)) == Counts(
        parameters=kernels + norms + bias,
        flops=2 * sum(outputs * terms for outputs, terms in products),
        activations=sum(outputs for outputs, _ in products),
    )


def test_a_batch_costs_as_much_more_and_has_the_same_parameters():
    one, four = (
        count(MLPConfig(width=8), jax.ShapeDtypeStruct((size, 16), "float32")) for size in (1, 4)
    )
    assert (four.flops, four.activations) == (4 * one.flops, 4 * one.activations)
    assert four.parameters == one.parameters


def test_layers_that_are_scanned_over_count_as_often_as_they_run():
    counts = [
        count(
            TransformerConfig(width=16, layers=layers, vocabulary=7, head_dim=8),
            jax.ShapeDtypeStruct((1, 6), "int32"),
        )
        for layers in (1, 2, 5)
    ]
    each = counts[1].flops - counts[0].flops
    assert counts[2].flops == counts[0].flops + 4 * each
    # Query, key, value, out, three of the feed-forward, and two products of attention.
    assert each == 2 * 6 * (4 * 16 * 16 + 3 * 16 * 48) + 2 * 2 * 6 * 6 * 16


# Multiply-adds in units of 10^9 as torchvision prints them, and activations in millions, for
# ResNet-50 as Radosavovic et al. do (arXiv 2003.13678).
@pytest.mark.parametrize(
    ("changes", "multiply_adds"),
    [
        ({"stages": (2, 2, 2, 2), "block": "basic"}, 1.814),
        ({"block": "basic"}, 3.664),
        ({}, 4.089),
        ({"bottleneck_multiple": 2}, 11.398),
    ],
    ids=["ResNet-18", "ResNet-34", "ResNet-50", "Wide ResNet-50-2"],
)
def test_published_networks_cost_what_was_published(changes, multiply_adds):
    counts = count(dataclasses.replace(RESNET_50, **changes), images(224))
    assert counts.flops / 2e9 == pytest.approx(multiply_adds, abs=5e-4)


def test_the_activations_of_resnet_50_are_as_published():
    assert count(RESNET_50, images(224)).activations / 1e6 == pytest.approx(11.1, abs=0.05)


# The stem, which does not deepen, is one of 25 convolutions: over a fourfold depth that costs 0.02.
# Readout and whole pixels cost less. The nearest wrong exponent is 1/10 away.
TOLERANCE = 0.05
WIDE = ResNetConfig(width=64, stages=(12,), classes=10)


def scaled(depth=1, width=1, resolution=1):
    config = dataclasses.replace(WIDE, width=64 * width, stages=(12 * depth,))
    return count(config, images(round(32 * resolution)))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("width", {"width": 4}),
        ("depth", {"depth": 4}),
        ("resolution", {"resolution": 4}),
        # s = 64: the same 4, 2 and 2 as s^(1/3), s^(1/6) and s^(1/6).
        ("uniform", {"depth": 4, "width": 2, "resolution": 2}),
        # s = 1024 by d = 2, w = 16, r = 1.41.
        ("fast", {"depth": 2, "width": 16, "resolution": 2**0.5}),
    ],
)
def test_networks_grow_as_the_table_says(name, changes):
    small, large = scaled(), scaled(**changes)
    growth = np.log(large.flops / small.flops)
    compound = COMPOUNDS[name]
    for kind in ("activations", "parameters"):
        measured = np.log(getattr(large, kind) / getattr(small, kind)) / growth
        assert measured == pytest.approx(float(getattr(compound, kind)), abs=TOLERANCE), kind
    factors = compound.at(float(np.exp(growth)))
    for axis, factor in factors.items():
        assert changes.get(axis, 1) == pytest.approx(factor, rel=0.2), axis

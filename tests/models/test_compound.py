"""Networks grown along a compound: what they can have, and what they then cost."""

import dataclasses

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.models import ResNetConfig, count
from transfer.models.resnet import compound_scaled
from transfer.scaling.compound import COMPOUNDS

ResNet50 = ResNetConfig(stages=(3, 4, 6, 3), block="bottleneck", stem="imagenet", classes=1000)
IN_GROUPS = ResNetConfig(width=32, stages=(2, 3), norm="group", group_size=16)
IN_A_NUMBER_OF_GROUPS = ResNetConfig(width=32, stages=(2,), norm="group", group_size=0, groups=8)
growths = st.floats(1e-3, 1e3)
names = st.sampled_from(sorted(COMPOUNDS))


def flops(config, resolution):
    image = jax.ShapeDtypeStruct((1, resolution, resolution, 3), "float32")
    return count(config, image).flops


# All powers of two here, so that nothing is rounded.
@pytest.mark.parametrize(
    ("name", "growth", "stages", "width", "resolution"),
    [
        ("depth", 4, (12, 16, 24, 12), 64, 224),
        ("width", 16, (3, 4, 6, 3), 256, 224),
        ("resolution", 16, (3, 4, 6, 3), 64, 896),
        ("uniform", 64, (12, 16, 24, 12), 128, 448),
        ("fast", 1024, (6, 8, 12, 6), 1024, 317),
        ("width", 1 / 16, (3, 4, 6, 3), 16, 224),
    ],
)
def test_growth_goes_where_the_compound_says(name, growth, stages, width, resolution):
    # But for the pixels of `fast`: 224 * 2^(1/2) = 316.8.
    expected = dataclasses.replace(ResNet50, stages=stages, width=width), resolution
    assert compound_scaled(ResNet50, 224, COMPOUNDS[name], growth) == expected


@given(name=names, config=st.sampled_from([ResNet50, IN_GROUPS, IN_A_NUMBER_OF_GROUPS]))
def test_a_growth_of_one_changes_nothing(name, config):
    assert compound_scaled(config, 33, COMPOUNDS[name], 1) == (config, 33)


@given(name=names, growth=growths, groups=st.sampled_from([(IN_GROUPS, 16), (ResNet50, 1)]))
def test_each_is_the_nearest_that_a_network_can_have(name, growth, groups):
    config, unit = groups
    grown, ideal = compound_scaled(config, 32, COMPOUNDS[name], growth), COMPOUNDS[name].at(growth)
    sizes = [
        (grown[0].width, config.width * ideal["width"], unit),
        (grown[1], 32 * ideal["resolution"], 1),
        *(
            (after, before * ideal["depth"], 1)
            for before, after in zip(config.stages, grown[0].stages, strict=True)
        ),
    ]
    for size, exact, step in sizes:
        assert size % step == 0
        # Within half a step, or a whole one where there is no less.
        assert abs(size - exact) <= step * (0.5 + 1e-9) or (size == step and exact < step)


def test_groups_stay_whole():
    # 32 * 2^(1/2) = 45.3; one channel at a time it would be 45, which no group of 16 divides.
    grown, _ = compound_scaled(IN_GROUPS, 32, COMPOUNDS["width"], 2)
    assert grown.width == 48
    grown, _ = compound_scaled(IN_A_NUMBER_OF_GROUPS, 32, COMPOUNDS["width"], 2)
    assert grown.width == 48
    grown, _ = compound_scaled(
        dataclasses.replace(IN_GROUPS, norm="batch"), 32, COMPOUNDS["width"], 2
    )
    assert grown.width == 45


# Rounding may take half a block of 8, half a pixel of 32 twice and half a channel of 64 twice, 11 %
# together; the stem, which does not deepen, is 0.3 %.
FLOPS_OFF = 0.12


@pytest.mark.parametrize("name", COMPOUNDS)
def test_flops_grow_as_asked(name):
    small = ResNetConfig(width=64, stages=(8,), convolution="xla"), 32
    assert flops(*compound_scaled(*small, COMPOUNDS[name], 8)) / flops(*small) == pytest.approx(
        8, rel=FLOPS_OFF
    )


def test_flops_would_not_if_width_grew_with_them_and_not_with_their_root():
    small = ResNetConfig(width=64, stages=(8,), convolution="xla")
    wide = dataclasses.replace(small, width=64 * 8)
    assert flops(wide, 32) / flops(small, 32) > 8 * (1 + FLOPS_OFF)


@pytest.mark.parametrize("growth", [0, -1, float("inf"), float("nan")])
def test_growth_that_is_none_is_refused(growth):
    with refused(growth):
        compound_scaled(ResNet50, 224, COMPOUNDS["uniform"], growth)

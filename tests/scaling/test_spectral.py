import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Recipe, Role, spectral_std

from .parameters import MUP_CLASS, STANDARD_CLASS, few, of_role, parameter

SIZES = st.integers(1, 10_000)


@pytest.mark.parametrize(
    ("fan_in", "fan_out", "std"),
    [(256, 256, 0.03125), (1, 1, 0.5), (4, 1, 1 / 6), (1, 4, 2 / 3), (100, 900, 0.075)],
)
def test_values(fan_in, fan_out, std):
    assert spectral_std(fan_in, fan_out) == pytest.approx(std, rel=1e-12)


@few
@given(SIZES, SIZES)
def test_the_edge_of_the_spectrum_is_the_square_root_of_the_aspect_ratio(fan_in, fan_out):
    edge = spectral_std(fan_in, fan_out) * (fan_in**0.5 + fan_out**0.5)
    assert edge**2 * fan_in == pytest.approx(fan_out)


@few
@given(SIZES, SIZES)
def test_it_is_the_asymptotic_condition_up_to_a_factor_of_two(fan_in, fan_out):
    ratio = spectral_std(fan_in, fan_out) / (fan_in**-0.5 * min(1, (fan_out / fan_in) ** 0.5))
    assert ratio >= 0.5 * (1 - 1e-12)
    assert ratio < 1


@pytest.mark.parametrize("shape", [(256, 256), (360, 90), (90, 360), (400, 10), (9 * 20, 80)])
def test_a_gaussian_matrix_has_that_spectral_norm(shape):
    fan_in, fan_out = shape
    matrix = np.random.default_rng(0).normal(scale=spectral_std(*shape), size=shape)
    norm = np.linalg.norm(matrix, 2)
    assert norm == pytest.approx((fan_out / fan_in) ** 0.5, rel=0.05)


@pytest.mark.parametrize("m", [2, 3, 64])
def test_at_a_fixed_aspect_ratio_hidden_matrices_follow_table_3(m):
    ours = spectral_std(48 * m, 96 * m) / spectral_std(48, 96)
    assert ours == pytest.approx(Recipe("mup_table3").rule(of_role(Role.HIDDEN, m)).std)


def test_a_wide_readout_follows_table_3_in_the_limit():
    table3 = Recipe("mup_table3").rule(of_role(Role.OUTPUT, 4)).std
    errors = [
        spectral_std(4 * width, 10) / spectral_std(width, 10) / table3 - 1
        for width in (10**2, 10**4, 10**6)
    ]
    assert errors[0] > 10 * errors[2] > 0
    assert errors[2] == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("name", MUP_CLASS)
def test_every_form_has_the_spectral_init_of_the_effective_weight(name):
    recipe = Recipe(name, initializer="spectral")
    for axes, base, target in (
        ("embed -> ffn", (64, 256), (192, 768)),
        ("embed -> vocab", (64, 10), (192, 10)),
        ("height width channels -> filters", (3, 3, 8, 8), (3, 3, 16, 24)),
    ):
        weight = parameter(axes, base, target, gain=2.0)
        effective = recipe.multiplier(weight) * recipe.init_std(weight)
        assert effective == pytest.approx(2.0 * spectral_std(weight.fan_in, weight.fan_out))


def test_input_layers_keep_their_own_init():
    table = parameter("vocab -> embed", (100, 64), (100, 256), std=0.02)
    first = parameter("features -> embed", (9, 64), (9, 256), gain=2.0)
    recipe = Recipe("mup", initializer="spectral")
    assert recipe.init_std(table) == 0.02
    assert recipe.init_std(first) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", STANDARD_CLASS)
def test_it_belongs_to_mup(name):
    with refused(name):
        Recipe(name, initializer="spectral")

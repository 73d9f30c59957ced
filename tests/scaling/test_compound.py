"""Compound scaling: the exponents of Dollár et al."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling.compound import COMPOUNDS, Compound, growth_table

# Powers of FLOPs by which parameters and activations grow.
GROWTH = {
    "depth": ("1", "1"),
    "width": ("1", "1/2"),
    "resolution": ("0", "1"),
    "depth and width": ("1", "3/4"),
    "width and resolution": ("1/2", "3/4"),
    "depth and resolution": ("1/2", "1"),
    "uniform": ("2/3", "5/6"),
    "fast": ("9/10", "3/5"),
}
shares = st.fractions(0, 1)


def test_the_table():
    header, *rows = growth_table()
    assert header[-2:] == ["parameters", "activations"]
    assert {row[0]: tuple(row[-2:]) for row in rows} == GROWTH


@given(first=shares, second=shares)
def test_exponents_are_those_of_the_products(first, second):
    low, high = sorted((first, second))
    compound = Compound(low, high - low, 1 - high)
    grown = compound.at(7.0)
    d, w, r = (grown[name] for name in ("depth", "width", "resolution"))
    assert d * w**2 * r**2 == pytest.approx(7.0)
    assert d * w * r**2 == pytest.approx(7.0 ** float(compound.activations))
    assert d * w**2 == pytest.approx(7.0 ** float(compound.parameters))


def test_fast_scaling_lies_between_uniform_and_width_alone():
    assert Compound.fast(Fraction(1, 3)) == COMPOUNDS["uniform"]
    assert Compound.fast(Fraction(1)) == COMPOUNDS["width"]


@pytest.mark.parametrize("wrong", [(1, 1, 0), (2, -1, 0), (0, 0, 0)])
def test_shares_that_are_none_are_refused(wrong):
    with refused(1):
        Compound(*map(Fraction, wrong))

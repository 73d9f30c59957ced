import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.scaling.powers import Growth, Power

from .parameters import few

EXPONENTS = st.fractions(min_value=-2, max_value=2, max_denominator=4)
POWERS = st.builds(Power, EXPONENTS, EXPONENTS, EXPONENTS, EXPONENTS)
RATIOS = st.fractions(min_value=Fraction(1, 50), max_value=50)


@pytest.mark.parametrize(
    ("text", "fan_in", "fan_out"),
    [
        ("1", 0, 0),
        ("in", 1, 0),
        ("out", 0, 1),
        ("in^-1/2 out", Fraction(-1, 2), 1),
        ("out^3/2 in^-1", -1, Fraction(3, 2)),
        ("in in^1/2", Fraction(3, 2), 0),
    ],
)
def test_parse(text, fan_in, fan_out):
    assert Power.parse(text) == Power(Fraction(fan_in), Fraction(fan_out))


@pytest.mark.parametrize("text", ["width", "in^x", "m^1/2", "2"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"power|Fraction"):
        Power.parse(text)


def test_values_at_powers_of_two_are_exact():
    for text, fan_in, fan_out, value in (
        ("in^-1/2 out", 4, 3, 1.5),
        ("in^3/2 out^-1/2", 4, 16, 2.0),
        ("in^-1", Fraction(1, 8), 7, 8.0),
    ):
        growth = Growth(fan_in=Fraction(fan_in), fan_out=Fraction(fan_out))
        assert Power.parse(text).at(growth) == value


def test_every_base_is_its_own_growth():
    growth = Growth(fan_in=Fraction(2), fan_out=Fraction(3), depth=Fraction(5), steps=Fraction(7))
    found = {text: Power.parse(text).at(growth) for text in ("in", "out", "depth", "steps")}
    assert found == {"in": 2, "out": 3, "depth": 5, "steps": 7}
    assert Power.parse("in out^2 depth^9").width == 3


def test_a_ratio_is_not_floored():
    assert Power.parse("in").at(Growth(fan_in=Fraction(5, 2))) == 2.5
    assert Power.parse("out^-1").at(Growth(fan_out=Fraction(2, 3))) == 1.5


@few
@given(POWERS)
def test_at_the_base_a_power_is_exactly_one(power):
    assert power.at(Growth()) == 1.0


@few
@given(
    POWERS,
    POWERS,
    st.builds(Growth, fan_in=RATIOS, fan_out=RATIOS, depth=RATIOS, steps=RATIOS),
)
def test_products_and_quotients(left, right, growth):
    a, b = left.at(growth), right.at(growth)
    assert math.isclose((left * right).at(growth), a * b, rel_tol=1e-12)
    assert math.isclose((left / right).at(growth), a / b, rel_tol=1e-12)


@few
@given(POWERS)
def test_what_is_printed_reads_back(power):
    assert Power.parse(str(power)) == power


def test_printed_form():
    assert str(Power.parse("out^1 in^-1/2")) == "in^-1/2 out"
    assert str(Power.parse("1")) == "1"

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.scaling.powers import Power

from .parameters import few

EXPONENTS = st.fractions(min_value=-2, max_value=2, max_denominator=4)
POWERS = st.builds(Power, EXPONENTS, EXPONENTS)
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
    assert Power.parse("in^-1/2 out").at(Fraction(4), Fraction(3)) == 1.5
    assert Power.parse("in^3/2 out^-1/2").at(Fraction(4), Fraction(16)) == 2.0
    assert Power.parse("in^-1").at(Fraction(1, 8), Fraction(7)) == 8.0


def test_a_ratio_is_not_floored():
    assert Power.parse("in").at(Fraction(5, 2), Fraction(1)) == 2.5
    assert Power.parse("out^-1").at(Fraction(1), Fraction(2, 3)) == 1.5


@few
@given(POWERS)
def test_at_the_base_width_a_power_is_exactly_one(power):
    assert power.at(Fraction(1), Fraction(1)) == 1.0


@few
@given(POWERS, POWERS, RATIOS, RATIOS)
def test_products_and_quotients(left, right, m_in, m_out):
    a, b = left.at(m_in, m_out), right.at(m_in, m_out)
    assert math.isclose((left * right).at(m_in, m_out), a * b, rel_tol=1e-12)
    assert math.isclose((left / right).at(m_in, m_out), a / b, rel_tol=1e-12)


@few
@given(POWERS)
def test_what_is_printed_reads_back(power):
    assert Power.parse(str(power)) == power


def test_printed_form():
    assert str(Power.parse("out^1 in^-1/2")) == "in^-1/2 out"
    assert str(Power.parse("1")) == "1"

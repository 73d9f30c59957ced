"""What batch size and duration do to an optimizer, as printed and as algebra."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Horizon, Recipe

from .parameters import few

SDE = Recipe("mup", horizon="sde")
RATIOS = st.fractions(min_value=Fraction(1, 40), max_value=40, max_denominator=40)


# arXiv 2512.22382, Table 1, for AdamW; arXiv 2006.09092 for SGD.
@pytest.mark.parametrize(
    ("m_batch", "m_tokens", "entrywise", "linear"),
    [
        (4, 1, Horizon(learning_rate=2, weight_decay=2, epsilon=0.5, averaging=4), 4),
        (1, 4, Horizon(learning_rate=0.5, weight_decay=0.5, epsilon=2, averaging=0.25), 0.25),
        (9, 9, Horizon(), 1),
    ],
)
def test_every_printed_cell(m_batch, m_tokens, entrywise, linear):
    ratios = Fraction(m_batch), Fraction(m_tokens)
    assert SDE.at_horizon("entrywise", *ratios) == entrywise
    assert SDE.at_horizon("linear", *ratios) == Horizon(learning_rate=linear)


@few
@given(m_batch=RATIOS, m_tokens=RATIOS)
def test_what_a_run_loses_to_decay_is_kept(m_batch, m_tokens):
    for family in ("entrywise", "linear"):
        factors = SDE.at_horizon(family, m_batch, m_tokens)
        steps = float(m_tokens / m_batch)
        assert factors.learning_rate * factors.weight_decay * steps == pytest.approx(1)


@few
@given(first=RATIOS, second=RATIOS, tokens=RATIOS)
def test_batches_compose(first, second, tokens):
    one, two, both = (
        SDE.at_horizon("entrywise", batch, Fraction(length))
        for batch, length in ((first, 1), (second, tokens), (first * second, tokens))
    )
    for name in ("learning_rate", "weight_decay", "epsilon", "averaging"):
        assert getattr(both, name) == pytest.approx(getattr(one, name) * getattr(two, name))


@few
@given(st.floats(0, 1, exclude_max=True))
def test_the_base_run_keeps_its_betas_to_the_last_bit(beta):
    assert Horizon().beta(beta) == beta
    assert Horizon(averaging=0.25).beta(beta) == pytest.approx(1 - 0.25 * (1 - beta))


@pytest.mark.parametrize(("beta", "most"), [(0.95, 20), (0.9, 10)])
def test_a_beta_without_a_step_left_is_refused(beta, most):
    """1 - beta < 1: the bounds of the specification, 20 for 0.95 and 10 for 0.9."""
    assert 0 < Horizon(averaging=most - 0.1).beta(beta) < 0.02
    with refused(beta):
        Horizon(averaging=most + 0.1).beta(beta)


@pytest.mark.parametrize("ratios", [(2, 1), (1, 2)])
def test_another_horizon_without_a_rule_is_refused(ratios):
    with refused("horizon", "sde"):
        Recipe("mup").at_horizon("entrywise", *map(Fraction, ratios))
    assert Recipe("mup").at_horizon("entrywise", Fraction(1), Fraction(1)) == Horizon()


@pytest.mark.parametrize("family", ["relative", "spectral"])
def test_a_family_without_a_derivation_is_refused(family):
    with refused(family, "AdamW", "SGD"):
        SDE.at_horizon(family, Fraction(2), Fraction(1))
    assert SDE.at_horizon(family, Fraction(1), Fraction(1)) == Horizon()


def test_an_unknown_rule_names_the_nearest():
    with refused("sda", "sde"):
        Recipe("mup", horizon="sda")

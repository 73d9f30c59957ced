"""Six more mistakes, in a bottleneck, a router and a tied model: each is found and named."""

import functools

import pytest

from .small_models import (
    growth,
    measured_autoencoder,
    measured_mixture,
    measured_tied,
    rated,
    residual,
    routed,
    tied,
)


def over_width(n):
    return 1 / growth(n)


def only_finding(checked):
    assert checked.outcome == "differs"
    (finding,) = checked.findings
    return finding


def test_of_the_right_ones_there_is_nothing_to_say():
    for checked in (measured_autoencoder(), measured_mixture(), measured_tied()):
        assert checked.findings == ()
        assert checked.outcome != "differs"


def test_a_neck_that_is_initialized_as_a_hidden_matrix():
    finding = only_finding(measured_autoencoder(neck=lambda n: n**-0.5))
    assert finding.startswith("The init of the output weight neck follows width^-0.5")
    assert "expected width^-1.00" in finding


def test_a_router_whose_logits_are_multiplied_by_the_root_of_the_width():
    apply = functools.partial(routed, temperature=lambda n: growth(n) ** 0.5)
    finding = only_finding(measured_mixture(apply))
    assert finding.split(" of router follows ")[0] in ("The activation", "The change")
    assert "while embed and every weight before it are as predicted" in finding
    assert "a factor of width^+0.5 stands in the forward pass after embed" in finding


def test_a_residual_branch_that_is_scaled_by_the_width():
    apply = functools.partial(residual, branch=lambda n: growth(n) ** -0.5)
    finding = only_finding(measured_tied(apply=apply))
    assert finding.startswith("The activation of mix follows width^-0.5")
    assert "a factor of width^-0.5 stands in the forward pass after up" in finding


def test_tied_logits_over_the_root_of_the_width():
    apply = functools.partial(residual, logits=lambda n: growth(n) ** -0.5)
    # The products of the table's own rows with themselves grow more slowly at these widths.
    finding = only_finding(measured_tied(apply=apply))
    assert finding.startswith("The activation of the output follows width^+0.4")
    assert "table's forward multiplier is width^-0.6, expected width^-1.0" in finding


@pytest.mark.parametrize(
    ("path", "role"),
    [("table", "input"), pytest.param("bias", "vector", marks=pytest.mark.full)],
)
def test_a_learning_rate_as_a_matrix_has_it(path, role):
    finding = only_finding(measured_tied(make_optimizer=rated(**{path: over_width})))
    assert finding.startswith(
        f"The learning rate of the {role} parameter {path} is off by width^-1"
    )
    assert "expected width^+0.00" in finding


def test_one_hidden_matrix_whose_std_does_not_follow_the_width():
    checked = measured_tied(build=functools.partial(tied, mix=lambda n: 1 / 8))
    finding = only_finding(checked)
    assert finding.startswith("The init of the hidden weight mix follows width^")
    assert checked["weight", "mix", 0].error == pytest.approx(0.5, abs=0.05)
    assert "expected width^-0.50" in finding

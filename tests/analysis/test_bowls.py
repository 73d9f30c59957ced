"""The regression of bowls against what can be computed otherwise."""

import dataclasses

import numpy as np
import pytest

from experiments.coverage.scenarios import Scenario, simulate
from transfer.analysis.bowl_prior import Group, SharedPrior
from transfer.analysis.bowls import fit_bowls
from transfer.analysis.evidence import Bottoms, basis, normal_equations, weights
from transfer.analysis.importance import importance_sample
from transfer.analysis.points import Points

X = np.arange(-9.0, -3.0)


def group_and_shared(samples=5):
    generator = np.random.default_rng(0)
    losses = 3 + 0.05 * (X[:, None] + 6.2) ** 2 + generator.normal(0, 0.004, (len(X), 3))
    group = Group.of(Points.of(X, losses))
    prior = SharedPrior.of([group], (0.05, 0.1))
    return group, prior.shared(prior.mean + prior.spread * generator.normal(0, 1, (samples, 7)))


def test_the_evidence_is_that_of_the_normal_density_of_all_points():
    """Level and coefficients as part of the covariance; a level of s.d. 100 is as good as flat."""
    group, shared = group_and_shared()
    mu = np.array([[-6.6], [-6.2], [-5.9]])

    found = normal_equations(group, mu, shared).log_evidence

    for sample in range(5):
        exact = []
        for place in mu[:, 0]:
            design = np.stack(basis(group.x - place), axis=1)
            covariance = np.diag(1 / weights(group, shared)[:, sample]) + 1e4
            covariance += (design * shared.spread[:, sample] ** 2) @ design.T
            rest = group.y - design @ shared.mean[:, sample]
            log_det = np.linalg.slogdet(covariance)[1]
            exact.append(-(log_det + rest @ np.linalg.solve(covariance, rest)) / 2)
        # Both leave out the same constant, that of the level's prior.
        assert np.diff(found[:, sample]) == pytest.approx(np.diff(exact), abs=1e-4)


def test_places_of_the_bottom_are_those_of_a_grid_as_fine_as_one_likes():
    group, shared = group_and_shared(10)
    fine = np.linspace(*group.allowed, 8001)[:, None]

    log = normal_equations(group, fine, shared).log_evidence
    exact = np.log(np.exp(log - log.max(axis=0)).sum(axis=0) * (fine[1] - fine[0]))
    found = Bottoms.of(group, shared, 33).integral()

    assert found == pytest.approx(exact + log.max(axis=0), abs=0.02)


def test_importance_sampling_finds_a_narrow_posterior_far_from_where_it_starts():
    mean = np.array([2.0, -3.0, 1.0])
    root = np.array([[0.05, 0, 0], [0.04, 0.01, 0], [0, -0.02, 0.01]])

    def log_density(samples):
        return -0.5 * (np.linalg.solve(root, (samples - mean).T) ** 2).sum(axis=0)

    found = importance_sample(log_density, log_density, np.zeros(3), np.full(3, 2.0), 160, 800)

    assert found.effective > 400
    assert found.weights @ found.samples == pytest.approx(mean, abs=0.005)
    away = found.samples - mean
    covariance = (away * found.weights[:, None]).T @ away
    assert covariance == pytest.approx(root @ root.T, abs=2e-4)


def spread_between_widths(forms):
    """The s.d. of the difference of two widths' bottoms, where four widths have these forms."""
    points = []
    for k, (skewness, kink) in enumerate(forms):
        u = np.arange(-4.0, 4.1) / 2 + 0.1 * k
        noise = np.random.default_rng(k).normal(0, 0.0005, (len(u), 3))
        height = 0.05 * u**2 * np.exp(skewness * u + kink * np.sign(u))
        points.append(Points.of(u - 6, 3 + height[:, None] + noise))
    fitted = fit_bowls(points)
    return float((fitted[-1].bottom - fitted[0].bottom).std())


def test_the_data_say_how_much_widths_differ():
    """Alike widths are pooled; widths that differ are known less well, at the same noise."""
    alike = spread_between_widths([(0.1, 0.1)] * 4)
    differ = spread_between_widths([(0.3, 0.4), (-0.2, -0.3), (0.1, 0.3), (0.2, -0.4)])

    assert differ > 2 * alike


def test_the_form_errors_follow_how_much_widths_differ():
    scenario = Scenario(noise="quiet", seeds=3, widths=4, rates=8, spacing=0.5, repeats=1)
    simulated = simulate(scenario, 0)
    points = [
        Points.of(x, losses[:, 0])
        for x, losses in zip(simulated.rates, simulated.losses, strict=True)
    ]
    (first, *_) = fit_bowls(points)
    rough = [
        dataclasses.replace(each, y=each.y * (1 + 0.3 * np.cos(3 * np.arange(len(each.y)) + k)))
        for k, each in enumerate(points)
    ]
    (second, *_) = fit_bowls(rough)

    assert second.form_error.std() > 2 * first.form_error.std()

"""Singular values during training: when, of what, and that training does not notice."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transfer.data import load_dataset
from transfer.probes import tracking
from transfer.scaling import Hyperparameters
from transfer.training import Checkpoints
from transfer.training.kept_programs import KeptPrograms

from . import tiny
from .test_resume import interrupt_at, require_same_bits, resume
from .tiny import DATA, SETTINGS, STEPS

PATH = "hidden.kernel"
EVERY = 6
train = functools.partial(tiny.train, kept=KeptPrograms(most=16))
# Programs in which large matrices are followed, which is compiled in and no choice.
follow = functools.partial(tiny.train, kept=KeptPrograms(most=16))


@pytest.fixture(scope="module")
def measured():
    return train(spectrum_every=EVERY, schedule="constant")


@pytest.fixture
def followed(monkeypatch):
    """The hidden matrix, of width 16, is followed by Lanczos, as large ones are."""
    monkeypatch.setattr(tracking, "EXACT_UP_TO", 8)


def exact(outcome):
    """The four largest of the hidden matrix of every trial after the run, in float64."""
    weights = np.asarray(outcome.state.parameters["hidden"]["kernel"], np.float64)
    return np.linalg.svd(weights, compute_uv=False)[:, :4]


def test_values_are_measured_before_at_the_cadence_and_after(measured):
    assert measured.measured_at == (0, 6, 12, 18, 20)
    assert measured.spectrum[PATH].shape == measured.measured["bounds"][PATH].shape == (3, 5, 4)
    np.testing.assert_array_less(
        np.abs(measured.spectrum[PATH][:, -1] - exact(measured)),
        measured.measured["bounds"][PATH][:, -1],
    )


def test_a_value_is_that_of_its_step(measured):
    """A run that ends there has it too; the values of other steps are others."""
    shorter = train(spectrum_every=0, schedule="constant", steps=12)
    assert shorter.measured_at == (12,)
    np.testing.assert_array_equal(shorter.spectrum[PATH][:, 0], measured.spectrum[PATH][:, 2])
    for other in (0, 1, 3, 4):
        assert np.all(measured.spectrum[PATH][:, other] != measured.spectrum[PATH][:, 2])

    frozen = train([(Hyperparameters(learning_rate=1e-30), 0)], spectrum_every=0)
    np.testing.assert_array_equal(measured.spectrum[PATH][0, 0], frozen.spectrum[PATH][0, 0])


@pytest.mark.parametrize("every", [0, 1, EVERY])
def test_measuring_changes_no_bit_of_training(measured, every):
    other = train(spectrum_every=every, schedule="constant")
    jax.tree.map(np.testing.assert_array_equal, other.state, measured.state)
    jax.tree.map(np.testing.assert_array_equal, other.history, measured.history)


@pytest.mark.parametrize("execution", ["in_turn", "vectorized"])
def test_lanczos_follows_a_run_in_every_execution(followed, execution):
    outcome = follow(spectrum_every=EVERY, execution=execution)
    assert outcome.state.vectors[PATH].shape == (3, 4, 16)
    # Four pairs of four vectors span all 16 directions.
    np.testing.assert_allclose(outcome.spectrum[PATH][:, -1], exact(outcome), rtol=2e-6)


@pytest.mark.parametrize(("restored", "same"), [(True, True), (False, False)])
def test_a_resumed_run_goes_on_from_the_last_vectors(
    monkeypatch, tmp_path, followed, restored, same
):
    whole = follow(spectrum_every=EVERY)
    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path) as checkpoints:
        follow(
            checkpoints=checkpoints,
            checkpoint_every=12,
            spectrum_every=EVERY,
            progress=interrupt_at(16),
        )
    if not restored:
        restore = Checkpoints.restore

        def without_vectors(self, state, history):
            snapshot = restore(self, state, history)
            others = jax.tree.map(lambda leaf: jnp.roll(leaf, 1), snapshot.state.vectors)
            return dataclasses.replace(
                snapshot, state=dataclasses.replace(snapshot.state, vectors=others)
            )

        monkeypatch.setattr(Checkpoints, "restore", without_vectors)
    kept = follow.keywords["kept"]
    outcome, steps = resume(tmp_path, checkpoint_every=12, spectrum_every=EVERY, kept=kept)

    assert steps == [18, 20]
    # What was measured before the checkpoint is what was kept of it.
    np.testing.assert_array_equal(outcome.spectrum[PATH][:, :3], whole.spectrum[PATH][:, :3])
    if same:
        require_same_bits(whole, outcome)
    else:
        with pytest.raises(AssertionError):
            require_same_bits(whole, outcome)


def test_a_trial_whose_weights_are_not_finite_has_no_values_and_spoils_no_others(measured):
    wild = dataclasses.replace(SETTINGS[1][0], learning_rate=np.inf)
    outcome = train([SETTINGS[0], (wild, 0), SETTINGS[2]], spectrum_every=EVERY)
    assert np.isfinite(outcome.spectrum[PATH][1, 0]).all()
    assert np.isnan(outcome.spectrum[PATH][1, 1:]).all()
    assert np.isfinite(outcome.spectrum[PATH][[0, 2]]).all()
    assert outcome.history["loss"].shape == (3, STEPS)


def test_gains_are_those_of_the_weights_and_of_the_last_step(measured):
    """Of two runs that end a step apart, the longer has taken the step that is measured."""
    runs = {steps: train(spectrum_every=0, schedule="constant", steps=steps) for steps in (11, 12)}
    before, after = (
        np.asarray(runs[steps].state.parameters["hidden"]["kernel"], np.float64)
        for steps in (11, 12)
    )

    def rms(weights):
        return np.sqrt(np.mean(np.square(weights), axis=(1, 2)))

    at = {name: values[PATH][:, 2] for name, values in measured.measured.items()}
    # A difference of float32 weights, of which it is 1e-3.
    np.testing.assert_allclose(at["update"], rms(after - before) / rms(before), rtol=1e-3)
    np.testing.assert_allclose(at["rms"], rms(after), rtol=1e-5)
    largest = np.linalg.norm(after, 2, axis=(1, 2))
    np.testing.assert_allclose(at["stable_rank"], 256 * rms(after) ** 2 / largest**2, rtol=1e-5)
    np.testing.assert_allclose(at["alignment"], at["gain"] / largest, rtol=1e-5)
    # The first measurement follows no step.
    assert np.all(measured.measured["update"][PATH][:, 0] == 0)
    # Another step's update is further away than the tolerance.
    other = measured.measured["update"][PATH][:, 3]
    assert np.all(np.abs(other / at["update"] - 1) > 1e-3)


def test_the_gain_is_that_of_held_out_embeddings(measured):
    embedded = np.asarray(measured.state.parameters["embedding"]["table"], np.float64)
    weights = np.asarray(measured.state.parameters["hidden"]["kernel"], np.float64)
    tokens = load_dataset(DATA).eval_batches()[0, :4, :-1]
    for trial, gain in enumerate(measured.measured["gain"][PATH][:, -1]):
        x = embedded[trial][tokens]
        expected = np.linalg.norm(x @ weights[trial]) / np.linalg.norm(x)
        assert gain == pytest.approx(expected, rel=1e-5)
        elsewhere = embedded[trial][load_dataset(DATA).eval_batches()[1, :4, :-1]]
        other = np.linalg.norm(elsewhere @ weights[trial]) / np.linalg.norm(elsewhere)
        assert other != pytest.approx(expected, rel=1e-5)

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transfer.models import scores as module
from transfer.models.scores import readout_scores, scores

B, D, V = 2, 4, 10


def drawn(time, dtype="float32"):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((B, time, D)), dtype)
    kernel = jnp.asarray(rng.standard_normal((D, V)), dtype)
    return x, kernel, jnp.asarray(rng.integers(0, V, (B, time)))


def by_logits(x, kernel, labels):
    return scores(jnp.matmul(x, kernel, preferred_element_type=jnp.float32), labels)


def test_losses_are_cross_entropies_and_a_prediction_is_the_largest_logit():
    logits = jnp.asarray(np.random.default_rng(0).standard_normal((3, 5, V)), jnp.float32)
    labels = jnp.asarray(np.random.default_rng(1).integers(0, V, (3, 5)))
    found = scores(logits.at[0, 0].set(1.0), labels.at[0, 0].set(1))

    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_allclose(found.losses[1:], expected[1:], rtol=1e-6)
    np.testing.assert_array_equal(found.correct[1:], jnp.argmax(logits, -1)[1:] == labels[1:])
    # Of equal logits the first is the prediction.
    assert not found.correct[0, 0]


@pytest.mark.parametrize(("time", "chunks"), [(12, 4), (12, 1), (9, 1), (16, 8)])
def test_stretches_of_time_score_as_all_of_it_and_have_its_gradient(monkeypatch, time, chunks):
    # The number of chunks is a power of two that divides the time.
    monkeypatch.setattr(module, "_MAX_LOGITS", time * V // chunks if chunks > 1 else 10**9)
    x, kernel, labels = drawn(time)
    weights = jnp.asarray(np.random.default_rng(2).uniform(size=(B, time)), jnp.float32)

    def loss(score):
        return lambda x, kernel: jnp.sum(weights * score(x, kernel, labels).losses)

    found, expected = readout_scores(x, kernel, labels), by_logits(x, kernel, labels)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-6)
    np.testing.assert_array_equal(found.correct, expected.correct)
    for one, other in zip(
        jax.grad(loss(readout_scores), argnums=(0, 1))(x, kernel),
        jax.grad(loss(by_logits), argnums=(0, 1))(x, kernel),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_in_bfloat16_losses_are_of_unrounded_logits():
    x, kernel, labels = drawn(12, "bfloat16")
    found = readout_scores(x, kernel, labels).losses
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, by_logits(x, kernel, labels).losses, rtol=1e-6)
    rounded = scores((x @ kernel).astype(jnp.float32), labels).losses
    assert np.max(np.abs(found / rounded - 1)) > 1e-4


@pytest.mark.parametrize("score", [readout_scores, by_logits])
def test_logits_never_exist_all_at_once(monkeypatch, score):
    monkeypatch.setattr(module, "_MAX_LOGITS", 3 * V)
    x, kernel, labels = drawn(24, "bfloat16")
    program = jax.make_jaxpr(
        jax.grad(lambda x, kernel: jnp.mean(score(x, kernel, labels).losses), argnums=(0, 1))
    )(x, kernel)
    part, *wholes = (f"f32[{rows},{V}] = dot_general" for rows in (3 * B, 24 * B, f"{B},24"))
    whole = any(each in str(program) for each in wholes)
    assert (part in str(program), whole) == (
        (True, False) if score is readout_scores else (False, True)
    )


@hypothesis.settings(deadline=None, max_examples=10, derandomize=True)
@hypothesis.given(time=st.integers(1, 24), max_logits=st.integers(1, 300))
def test_any_length_is_scored(time, max_logits):
    x, kernel, labels = drawn(time)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAX_LOGITS", max_logits)
        found = readout_scores(x, kernel, labels)
    np.testing.assert_allclose(found.losses, by_logits(x, kernel, labels).losses, rtol=1e-6)

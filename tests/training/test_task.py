import jax
import numpy as np
import pytest

from transfer.data import DataConfig, ImageConfig
from transfer.models import CNNConfig, forward_pass, initialize, model_layout
from transfer.scaling import Hyperparameters
from transfer.training.task import CLASSIFICATION, NEXT_TOKEN, task_of

from .tiny import BASE_WIDTH, RECIPE, Tiny


@pytest.fixture(scope="module")
def trained():
    layout = model_layout(Tiny(), BASE_WIDTH)
    hyperparameters = Hyperparameters(learning_rate=1.0, readout_output=4.0)
    return initialize(Tiny(), layout, RECIPE, hyperparameters, jax.random.key(0))


def loss_of(trained, tokens):
    loss, (metrics, statistics) = NEXT_TOKEN.loss(Tiny())(*trained, {}, tokens, training=False)
    assert statistics == {}
    assert metrics["loss"] == loss
    return float(loss)


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).integers(0, Tiny().vocabulary, (3, 6))


def cross_entropy(logits, targets):
    """Return mean -log softmax(logits)[target], by its definition, in float64."""
    powers = np.exp(np.asarray(logits, np.float64))
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    rows = [-np.log(probabilities[index][target]) for index, target in np.ndenumerate(targets)]
    return np.mean(rows)


def test_the_loss_is_the_cross_entropy_of_the_next_token_in_nats(trained, tokens):
    logits = forward_pass(Tiny())(*trained, tokens[:, :-1])
    measured = loss_of(trained, tokens)

    assert measured == pytest.approx(cross_entropy(logits, tokens[:, 1:]), rel=1e-6)
    assert abs(measured - cross_entropy(logits, tokens[:, :-1])) > 1e-3


def test_a_model_that_knows_nothing_loses_the_logarithm_of_the_vocabulary(trained, tokens):
    parameters, multipliers = trained
    silent = jax.tree.map(np.zeros_like, parameters)

    assert loss_of((silent, multipliers), tokens) == pytest.approx(
        np.log(Tiny().vocabulary), rel=1e-6
    )


def test_the_last_token_is_predicted_but_never_read(trained, tokens):
    changed = tokens.copy()
    changed[:, -1] = (changed[:, -1] + 1) % Tiny().vocabulary
    by_hand = forward_pass(Tiny())(*trained, tokens[:, :-1])

    assert loss_of(trained, changed) == pytest.approx(
        cross_entropy(by_hand, changed[:, 1:]), rel=1e-6
    )
    assert loss_of(trained, changed) != loss_of(trained, tokens)


def test_the_accuracy_is_the_share_of_tokens_named(trained, tokens):
    logits = np.asarray(forward_pass(Tiny())(*trained, tokens[:, :-1]))
    named = tokens.copy()
    named[:, 1:] = logits.argmax(axis=-1)
    # Of 3 x 5 predictions from the tokens as they were, those of the first position see the same.
    for labels, right in ((named, 3), (named + 1, 0)):
        changed = tokens.copy()
        changed[:, 1] = labels[:, 1]
        measured = NEXT_TOKEN.loss(Tiny())(*trained, {}, changed[:, :2], training=False)
        _, (metrics, _) = measured
        assert float(metrics["accuracy"]) == pytest.approx(right / 3)


def test_images_are_classified_each_by_its_label():
    config = CNNConfig(width=8, layers=1)
    layout = model_layout(config, 8)
    hyperparameters = Hyperparameters(learning_rate=1.0)
    model = initialize(config, layout, RECIPE, hyperparameters, jax.random.key(0))
    image = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)
    logits = np.asarray(forward_pass(config)(*model, image))
    label = logits.argmax(axis=-1)
    label[:2] = (label[:2] + 1) % 10
    batch = {"image": image, "label": label}

    loss, (metrics, _) = CLASSIFICATION.loss(config)(*model, {}, batch, training=False)
    assert float(loss) == pytest.approx(cross_entropy(logits, label), rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(4 / 6)


def test_the_kind_of_data_says_what_to_do():
    assert task_of(DataConfig()) is NEXT_TOKEN
    assert task_of(ImageConfig()) is CLASSIFICATION

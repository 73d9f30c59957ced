"""A batch taken in parts is the same step, but for statistics of the batch."""

import dataclasses
import functools

import numpy as np
import pytest
from refusals import refused

from transfer.sharding import MeshConfig
from transfer.training import TrainingConfig
from transfer.training.kept_programs import KeptPrograms

from . import tiny
from .sharded import RESNET, evaluating, initial
from .sharded import train as train_population

# Sums of parts round otherwise than sums in a row, by about 1e-7 a step.
CLOSE = {"rtol": 1e-5}
train = functools.partial(tiny.train, kept=KeptPrograms(most=16))


@pytest.fixture(scope="module")
def whole():
    return train()


@pytest.mark.sampled
@pytest.mark.parametrize("parts", [2, 8])
@pytest.mark.parametrize("execution", ["in_turn", "vectorized"])
def test_parts_of_a_batch_train_as_the_whole(whole, parts, execution):
    found = train(microbatches=parts, execution=execution)
    # The norm is not normalised away, as AdamW would a gradient's size.
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(found.history[name], whole.history[name], **CLOSE)


@functools.cache
def of_images(norm, parts):
    """A residual network trained with its batches in so many parts."""
    model = dataclasses.replace(RESNET, norm=norm)
    return train_population(model, MeshConfig(), 1, initial(model, 1), microbatches=parts)


@pytest.mark.parametrize(("norm", "same"), [("layer", True), ("batch", False)])
def test_only_batch_norm_goes_by_the_parts(norm, same):
    whole, parts = (of_images(norm, count) for count in (1, 8))
    difference = np.max(np.abs(parts.measured["loss"] / whole.measured["loss"] - 1))
    assert (difference < CLOSE["rtol"]) == same
    assert same or difference > 1e-2


def test_activations_take_less_memory():
    programs = [of_images(RESNET.norm, count).program for count in (1, 8)]
    temporaries = [each.memory_analysis().temp_size_in_bytes for each in programs]
    assert temporaries[1] < 0.5 * temporaries[0]


@pytest.mark.parametrize("parts", [2, 8])
def test_held_out_batches_are_scored_in_the_same_parts(whole, parts):
    found = train(microbatches=parts)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(found.held_out[name], whole.held_out[name], **CLOSE)


def test_scoring_held_out_batches_takes_less_memory_too():
    """Or a run that trains in parts would end with its device full."""
    whole, parts = (
        evaluating(RESNET, microbatches=count).memory_analysis().temp_size_in_bytes
        for count in (1, 8)
    )
    assert parts < 0.5 * whole


def test_parts_that_do_not_divide_the_batch_are_refused():
    with refused("microbatches", 3, 8):
        train(microbatches=3)
    with refused("microbatches", 0):
        TrainingConfig(microbatches=0)

"""The least that a step moves, counted by hand."""

import dataclasses

import jax
import pytest

from transfer.plan.activations import least_activations, traced_activations
from transfer.plan.least import least_traffic
from transfer.plan.memory import Memory
from transfer.plan.program import Program, slice_mesh
from transfer.tpu import Topology
from transfer.training import build_population

from .slices import BATCH, TIME, WIDTH, experiment, group

LAYERS = 2
# In bfloat16, of every layer and token: what enters it, queries, keys, values, what attention's
# product gives, gate and up. What attention gives and what leaves the layer follow from them.
KEPT = 2 * LAYERS * TIME * (5 * WIDTH + 2 * 3 * WIDTH)
MIB = 2**20


class Here(Topology):
    """One device of this machine, as if it were a slice."""

    @property
    def devices(self):
        return jax.devices()[:1]


def traced(trials=1, training=None, slots=0, **model) -> Program:
    """A program that is not compiled."""
    made = group(
        experiment(training=training, **({"attention": "splash", "layer_loop": "scan"} | model)),
        trials,
    )
    made = dataclasses.replace(made, slots=slots)
    built = build_population(made, slice_mesh(made, Here("v6e", (1, 1))))
    state = built.population._shapes(built.trials)
    arguments = (state, built.trials, built.batches)
    return Program(built.population, trials, BATCH, None, arguments, 0.0, 0.0)


def memory(parameters: float, optimizer: float) -> Memory:
    others = dict.fromkeys(("inputs", "temporaries", "activations", "code", "peak", "limit"), 0.0)
    return Memory(parameters=parameters, optimizer=optimizer, **others)


@pytest.mark.parametrize("remat", ["", "products"])
def test_results_of_products_outlive_a_forward_pass(remat):
    assert least_activations(traced(remat=remat)) == BATCH * KEPT


def test_of_layers_that_are_computed_again_only_the_inputs_outlive_it():
    program = traced(remat="full")
    assert least_activations(program) == 2 * LAYERS * BATCH * TIME * WIDTH
    # The trace keeps what the loss needs as well.
    assert traced_activations(program) > least_activations(program)


def test_products_in_float32_are_twice_as_large():
    assert least_activations(traced(dtype="float32")) == 2 * BATCH * KEPT


def test_trials_at_once_and_in_parts():
    four = traced(4, {"execution": "vectorized"})
    assert least_activations(four) == 4 * BATCH * KEPT
    in_turn = traced(4, {"execution": "in_turn"})
    assert least_activations(in_turn) == BATCH * KEPT
    in_parts = traced(4, {"execution": "in_turn", "microbatches": 4})
    assert least_activations(in_parts) == BATCH / 4 * KEPT
    # Whether at once, in turn or in parts, all is written and read in a step.
    held = memory(400.0 * MIB, 800.0 * MIB)
    for program in (four, in_turn, in_parts):
        found = least_traffic(program, held, on_chip=0.0)
        assert found.activations == 2 * 4 * BATCH * KEPT
        assert found.state == 2 * 1200 * MIB


def test_what_the_chip_holds_is_not_moved():
    held = memory(400.0 * MIB, 800.0 * MIB)
    at_once = least_traffic(traced(4, {"execution": "vectorized"}), held, on_chip=128.0 * MIB)
    assert at_once.state == 2 * (1200 - 128) * MIB
    # Of each trial on its own the chip holds as much, in its turn.
    in_turn = least_traffic(traced(4, {"execution": "in_turn"}), held, on_chip=128.0 * MIB)
    assert in_turn.state == 2 * (1200 - 4 * 128) * MIB
    assert in_turn.activations == at_once.activations == 0
    assert least_traffic(traced(), held, on_chip=2000.0 * MIB).total == 0
    # Room that no trial takes is not moved: 2 of 4 trials, each of a fourth of all.
    half = least_traffic(traced(2, {"execution": "in_turn"}, slots=4), held, on_chip=128.0 * MIB)
    assert half.state == 2 * (600 - 2 * 128) * MIB


@pytest.mark.parametrize(
    ("training", "dtype", "share"),
    [
        # Written and read between the products, in bfloat16, and the norm that clips.
        ({}, "bfloat16", 1),
        ({}, "float32", 2),
        ({"clip": 0.0}, "bfloat16", 0),
        # Added up in float32 after each of four microbatches, and after the last for its norm.
        ({"microbatches": 4}, "bfloat16", 2 * 4),
        ({"microbatches": 4, "clip": 0.0}, "bfloat16", 2 * 3),
    ],
)
def test_gradients_exist_at_once_for_their_norm_and_for_microbatches(training, dtype, share):
    held = memory(400.0 * MIB, 800.0 * MIB)
    found = least_traffic(traced(training=training, dtype=dtype), held, on_chip=0.0)
    assert found.gradients == share * 400 * MIB
    assert found.total == found.state + found.gradients + found.activations

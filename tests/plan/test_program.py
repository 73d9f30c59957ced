"""The program that is planned is the one that is trained."""

import jax
import pytest

from transfer.config import read
from transfer.data import load_dataset
from transfer.plan.program import compile_group, slice_mesh
from transfer.tpu import Topology
from transfer.training import Population, build_population, train

from .slices import experiment, group


class Here(Topology):
    """The devices of this machine, as if they were a slice."""

    @property
    def devices(self):
        return jax.devices()


class CompiledError(Exception):
    """What is about to be compiled."""


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"training": {"microbatches": 2, "execution": "vectorized"}},
        {"training": {"steps": 7}, "data": {"eval_sequences": 16}},
    ],
)
def test_a_plan_compiles_what_training_does(trials, settings, monkeypatch):
    def caught(population, trials, batches, *_):
        raise CompiledError(population, trials, batches)

    for name in ("compile", "lower_run"):
        monkeypatch.setattr(Population, name, caught)
    made = experiment(**settings)
    asked = group(made, trials)
    with pytest.raises(CompiledError) as planned:
        compile_group(asked, Here("v5p", (2, 2, 1)))
    with pytest.raises(CompiledError) as trained:
        train(asked, load_dataset(made.data))
    assert planned.value.args == trained.value.args


@pytest.mark.parametrize(
    "content",
    [
        {"data": {"batch_size": 4, "sequence_length": 8}},
        {"model": {"kind": "cnn"}, "data": {"kind": "images", "batch_size": 32}},
    ],
)
def test_a_program_is_given_batches_of_the_shapes_of_their_data(content):
    made = read(content)
    run = made.single_run()
    held_out = load_dataset(made.data).eval_batches()
    built = build_population(run, slice_mesh(run, Here("v5p", (2, 2, 1))))
    count = len(jax.tree.leaves(held_out)[0])
    expected = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), held_out)
    given = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), built.eval_batches(count))
    assert given == expected
    steps = min(made.training.log_every, made.training.steps)
    batches = jax.tree.map(lambda leaf: leaf.shape[:2], built.batches)
    assert set(jax.tree.leaves(batches, is_leaf=lambda x: isinstance(x, tuple))) == {(steps, 1)}

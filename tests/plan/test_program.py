"""The program that is planned is the one that is trained."""

import jax
import pytest

from transfer.config import read
from transfer.data import load_dataset
from transfer.plan.program import _population, batch_shapes, group_mesh
from transfer.tpu import Topology
from transfer.training import Population, train

from .slices import experiment, group


class Here(Topology):
    """The devices of this machine, as if they were a slice."""

    @property
    def devices(self):
        return jax.devices()


@pytest.fixture
def trained(monkeypatch):
    """What `train` compiles, instead of compiling it."""

    class CompiledError(Exception):
        pass

    def compile(population, trials, batches, eval_batches):
        raise CompiledError(population, trials, batches)

    def run(made, trials):
        monkeypatch.setattr(Population, "compile", compile)
        with pytest.raises(CompiledError) as raised:
            train(
                made.model,
                made.base_width,
                made.recipe.build(),
                made.training,
                load_dataset(made.data),
                [(setting.hyperparameters, setting.seed) for setting in trials.trials],
                horizon=made.horizon(made.model.width),
                mesh=made.mesh,
            )
        return raised.value.args

    return run


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"training": {"microbatches": 2, "execution": "vectorized"}, "attention": "xla"},
        {
            "training": {"steps": 7, "execution": "in_turn"},
            "attention": "xla",
            "data": {"eval_sequences": 16},
        },
    ],
)
def test_a_plan_compiles_what_training_does(trials, settings, trained):
    made = experiment(**settings)
    run = group(made, trials)
    mesh = group_mesh(made, run, Here("v5p", (2, 2, 1)))
    population, shapes, batches = _population(made, run, mesh)
    in_training, its_trials, its_batches = trained(made, run)
    assert population == in_training
    for planned, given in ((shapes, its_trials), (batches, its_batches)):
        assert jax.tree.structure(planned) == jax.tree.structure(given)
        for ours, theirs in zip(jax.tree.leaves(planned), jax.tree.leaves(given), strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            assert ours.sharding == theirs.sharding


def test_the_batches_of_images_have_the_shapes_of_their_data():
    made = read({"model": {"kind": "cnn"}, "data": {"kind": "images", "batch_size": 32}})
    held_out = load_dataset(made.data).eval_batches()
    expected = jax.tree.map(lambda leaf: (leaf.shape[1:], leaf.dtype), held_out)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), batch_shapes(made))
    assert shapes == expected

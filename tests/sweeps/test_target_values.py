"""The table of absolute values holds what init, forward pass and optimizer really use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transfer.config import read
from transfer.models import initialize
from transfer.pytree_paths import leaves
from transfer.sweeps import target_values

TUNED = {
    "learning_rate": 0.02,
    "weight_decay": 0.3,
    "input_learning_rate": 2.0,
    "readout_learning_rate": 0.5,
    "init_scale": 0.7,
    "embedding_output": 3.0,
    "readout_output": 5.0,
    "attention_logits": 1.5,
}


def group_of(**sections):
    content = {
        "base_width": 16,
        "base_layers": 1,
        "base_batch_size": 4,
        "base_tokens": 640,
        "model": {"width": 64, "layers": 2, "head_dim": 8, "dtype": "float32"},
        "recipe": {"name": "mup+sqrt", "depth": "completep", "horizon": "sde"},
        "hyperparameters": TUNED,
        "data": {"sequence_length": 16, "batch_size": 8},
        "training": {"steps": 20, "epsilon": 1e-3},
    }
    for name, section in sections.items():
        content[name] = content[name] | section
    return read(content).single_run()


def by_path(group):
    values = target_values(group)
    return {path: row for row in values.rows for path in row.parameters}


@pytest.mark.parametrize("name", ["mup+sqrt", "mup_table3+independent", "standard"])
def test_values_are_those_that_training_uses(name):
    """Steps from the optimizer itself: a sign, an epsilon that matters, and a decay alone."""
    group = group_of(recipe={"name": name})
    rows, trial = by_path(group), group.trials[0]
    recipe, horizon = trial.recipe, group.horizon(trial.recipe)
    parameters, multipliers = initialize(
        group.model, group.layout, recipe, trial.hyperparameters, jax.random.key(0)
    )
    optimizer = group.training.at(horizon).make_optimizer(
        TUNED["learning_rate"] * horizon.learning_rate,
        TUNED["weight_decay"] * horizon.weight_decay,
        layout=group.layout.parameters,
        recipe=recipe,
        input_learning_rate=TUNED["input_learning_rate"],
        readout_learning_rate=TUNED["readout_learning_rate"],
    )
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    ones = jax.tree.map(jnp.ones_like, parameters)
    start = optimizer.init(parameters)
    decayed = leaves(optimizer.update(zeros, start, ones)[0])
    stepped = leaves(optimizer.update(ones, start, zeros)[0])
    trained = [row for row in rows.values() if row.learning_rate is not None]
    assert {path for row in trained for path in row.parameters} == set(decayed)
    for path, drawn in leaves(parameters).items():
        row = rows[path]
        rate, decay, epsilon = row.learning_rate, row.weight_decay, row.epsilon
        assert np.asarray(decayed[path]) == pytest.approx(-rate * decay, rel=1e-5)
        assert np.asarray(stepped[path]) == pytest.approx(-rate / (1 + epsilon), rel=1e-5)
        if row.init_std is None:
            assert jnp.ptp(drawn) == 0
        else:
            # A std from n draws has a relative error of 1 / sqrt(2 n); five of them.
            error = 5 / (2 * drawn.size) ** 0.5
            assert float(jnp.std(drawn)) == pytest.approx(row.init_std, rel=error)
    # Each multiplier of the forward pass stands in one row, that of its layer or one of its own.
    for path, value in leaves(multipliers).items():
        layer = path.rpartition(".")[0]
        (row,) = {
            rows[each].multiplier
            for each in rows
            if each == path or (path not in rows and each.rpartition(".")[0] == layer)
        }
        assert np.asarray(value) == pytest.approx(row, rel=1e-6)


def test_values_written_out_by_hand():
    """muP at 4 times the width, 2 times the depth, batch and tokens: kappa is 1, epsilon / 2."""
    rows = {row.role: row for row in target_values(group_of(training={"steps": 10})).rows}
    hidden = next(
        row
        for row in target_values(group_of(training={"steps": 10})).rows
        if "blocks.attention.query.kernel" in row.parameters
    )
    assert hidden.learning_rate == pytest.approx(0.02 / 4)
    assert hidden.weight_decay == pytest.approx(0.3 * 4**0.5)
    assert hidden.epsilon == pytest.approx(1e-3 / 4 / 2)
    assert hidden.init_std == pytest.approx(0.7 / 64**0.5)
    assert rows["input"].learning_rate == pytest.approx(0.02 * 2.0)
    assert rows["input"].multiplier == pytest.approx(3.0)
    assert rows["output"].multiplier == pytest.approx(5.0 / 4)
    assert rows["residual branch"].multiplier == pytest.approx(1 / 2)
    assert rows["attention logits"].multiplier == pytest.approx(1.5 / 8**0.5)


def test_settings_are_those_at_the_targets_batch_size_and_length():
    # The batch is twice the base's and the tokens four times: 1 - beta is halved.
    values = target_values(group_of(training={"steps": 20, "b1": 0.9, "b2": 0.95}))
    assert values.settings == pytest.approx({"b1": 0.95, "b2": 0.975})
    assert "b1 0.95, b2 0.975" in str(values)


def test_a_tied_readout_has_a_row_for_its_multiplier():
    rows = {row.role: row for row in target_values(group_of(model={"tied": True})).rows}
    assert rows["tied output"].multiplier == pytest.approx(5.0 / 4 / 16**0.5)
    assert rows["input"].multiplier == pytest.approx(3.0)


def test_an_optimizer_without_an_epsilon_has_none():
    training = {"optimizer": "sgd", "steps": 20}
    assert {row.epsilon for row in target_values(group_of(training=training)).rows} == {None}

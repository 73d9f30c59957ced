import pytest
from refusals import refused

from transfer.scaling import Horizon
from transfer.training import TrainingConfig


def test_the_number_of_steps_is_as_declared():
    assert TrainingConfig(steps=123).resolved_steps(10**9, 1) == 123


@pytest.mark.parametrize(
    ("ratio", "parameters", "tokens_per_step", "steps"),
    [
        (20.0, 1_000_000, 10_000, 2000),
        (20.0, 1_000_000, 5_000, 4000),
        (0.5, 1_000, 100, 5),
        (1.0, 1_060, 100, 11),
        (1e-6, 1_000, 100, 1),
    ],
)
def test_tokens_per_parameter_sets_the_length(ratio, parameters, tokens_per_step, steps):
    config = TrainingConfig(steps=7, tokens_per_parameter=ratio)
    assert config.resolved_steps(parameters, tokens_per_step) == steps


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"steps": 0}, ("training.steps", 0)),
        ({"log_every": 0}, ("training.log_every", 0)),
        ({"checkpoints_kept": 0}, ("training.checkpoints_kept", 0)),
        ({"tokens_per_parameter": -1.0}, ("training.tokens_per_parameter",)),
        ({"clip": -1.0}, ("training.clip",)),
        ({"checkpoint_every": -1}, ("training.checkpoint_every",)),
        ({"spectrum_every": -1}, ("training.spectrum_every", -1)),
        ({"optimizer": "adamv"}, ("training.optimizer", "adamv", "nadam")),
        ({"execution": "in turn"}, ("training.execution", "in_turn")),
    ],
)
def test_what_makes_no_sense_is_refused(changes, names):
    with refused(*names):
        TrainingConfig(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"clip": 0.0},
        {"checkpoint_every": 0},
        {"spectrum_every": 0},
        {"execution": ""},
        {"steps": 1},
    ],
)
def test_what_turns_something_off_is_accepted(changes):
    assert TrainingConfig(**changes)


@pytest.mark.parametrize("optimizer", ["lion", "muon", "adafactor"])
def test_a_rule_that_was_not_derived_for_an_optimizer_is_refused(optimizer):
    config = TrainingConfig(optimizer=optimizer)
    assert config.at(Horizon()) == config
    # A ladder's exponents of rate and decay ask nothing of the optimizer's own settings.
    assert config.at(Horizon(learning_rate=2.0, weight_decay=0.5)) == config
    with refused(optimizer):
        config.at(Horizon(learning_rate=2.0, averaging=4.0))

"""The optimizers that a configuration can name."""

import dataclasses
import inspect

import numpy as np
import pytest
from refusals import refused

from transfer.optim import OPTIMIZERS
from transfer.scaling import Hyperparameters
from transfer.training import TrainingConfig

from .tiny import SETTINGS, train

FAMILIES = {
    "adamw": "entrywise",
    "nadam": "entrywise",
    "adam_atan2": "entrywise",
    "adamp": "entrywise",
    "lion": "entrywise",
    "sgd": "linear",
    "adafactor": "relative",
    "muon": "spectral",
}


def test_each_reads_the_column_of_its_family():
    assert {name: TrainingConfig(optimizer=name).family for name in OPTIMIZERS} == FAMILIES


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_settings_are_fields_of_the_configuration_and_arguments_of_its_own(name):
    fields = {field.name for field in dataclasses.fields(TrainingConfig)}
    arguments = inspect.signature(OPTIMIZERS[name].make).parameters
    assert set(OPTIMIZERS[name].settings.values()) <= fields
    assert set(OPTIMIZERS[name].settings) <= set(arguments)


def test_another_name_lists_them_all():
    with refused("muom", "muon", "adafactor"):
        TrainingConfig(optimizer="muom")


# Steps of the size of a gradient, or of an eighth of a weight, in place of 2^-5 an entry.
RATES = {"adafactor": 2.0**-3, "sgd": 1.0}


# One of each family; AdamW trains in every other test.
@pytest.mark.parametrize("name", ["lion", "sgd", "adafactor", "muon"])
def test_a_population_is_trained_by_it(name):
    rate = RATES.get(name, 2.0**-5)
    settings = [(Hyperparameters(learning_rate=each, weight_decay=0.1), 0) for each in (rate, 0.0)]
    trained, still = train(settings, optimizer=name).history["loss"]
    # Both see the same batches, whose losses differ by some hundredths.
    assert np.mean(trained[-5:]) < np.mean(still[-5:]) - 0.5


def test_its_settings_reach_it():
    one, other = (
        train(SETTINGS[:1], optimizer="sgd", momentum=value).history["loss"] for value in (0.9, 0.5)
    )
    assert not np.allclose(one, other, rtol=1e-4)

"""A model says whether it can read what a data set gives it, from plain facts."""

import pytest
from refusals import refused

from transfer.data import DataConfig, ImageConfig, load_dataset
from transfer.models import CNNConfig, ImageInputs, ResNetConfig, TextInputs, TransformerConfig
from transfer.training.task import input_spec

PHOTOGRAPHS = ImageInputs("photographs", channels=3, classes=10)


@pytest.mark.parametrize("kind", [CNNConfig, ResNetConfig])
def test_images_need_their_own_number_of_channels(kind):
    kind(image_channels=3).require_fit(PHOTOGRAPHS)
    with refused("model.image_channels", 1, "photographs", 3):
        kind(image_channels=1).require_fit(PHOTOGRAPHS)


@pytest.mark.parametrize("kind", [CNNConfig, ResNetConfig])
def test_classes_may_be_more_than_there_are_but_not_fewer(kind):
    kind(image_channels=3, classes=16).require_fit(PHOTOGRAPHS)
    with refused("model.classes", 9, "photographs", 10):
        kind(image_channels=3, classes=9).require_fit(PHOTOGRAPHS)


def test_every_token_needs_a_row_of_the_table():
    TransformerConfig(vocabulary=300).require_fit(TextInputs("bytes", vocabulary=256))
    with refused("model.vocabulary", 255, "bytes", 256):
        TransformerConfig(vocabulary=255).require_fit(TextInputs("bytes", vocabulary=256))


def test_the_facts_are_those_of_the_data_set():
    assert input_spec(load_dataset(DataConfig(name="synthetic"))) == TextInputs("bytes", 256)
    assert input_spec(load_dataset(ImageConfig(name="digits"))) == ImageInputs("digits", 1, 10)

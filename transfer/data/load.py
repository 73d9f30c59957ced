"""A configuration becomes the data set that it describes; the sources that need no download."""

import typing
from collections.abc import Callable, Mapping

import tensorflow_datasets as tfds

from transfer.data import prepared
from transfer.data.config import DataConfig, ImageConfig
from transfer.data.image_dataset import ImageDataset
from transfer.data.image_sources import ImageSource, SklearnDigits, TfdsImages
from transfer.data.own_files import OwnFiles, own_path
from transfer.data.own_images import open_own_images
from transfer.data.own_text import OwnText
from transfer.data.text_dataset import Dataset
from transfer.data.text_sources import Source, open_stdlib_text, open_synthetic, open_tfds_text
from transfer.data.tokenizers import load_tokenizer

# Embedded sources by `data.name`; every other name but `folder:PATH` is looked up in TFDS.
TEXT_SOURCES: Mapping[str, Callable[[DataConfig], Source]] = {
    "stdlib_text": open_stdlib_text,
    "synthetic": open_synthetic,
}
IMAGE_BUILDERS: Mapping[str, type[tfds.core.GeneratorBasedBuilder]] = {"digits": SklearnDigits}


@typing.overload
def load_dataset(config: DataConfig) -> Dataset: ...
@typing.overload
def load_dataset(config: ImageConfig) -> ImageDataset: ...
def load_dataset(config: DataConfig | ImageConfig) -> Dataset | ImageDataset:
    """Open, prepare and fingerprint the data set of a configuration: text, or labeled images.

    The first call prepares and tokenizes; later calls reuse the files. Raises `TransferError` when
    the data set or tokenizer is unknown or cannot be read, or a split holds less than one batch.

    Example:
      >>> dataset = load_dataset(DataConfig(name="synthetic", sequence_length=32))
      >>> dataset.vocabulary_size, dataset.eval_batches().shape
      (256, (16, 16, 33))
      >>> images = load_dataset(ImageConfig(name="digits"))
      >>> images.classes, images.image_shape, images.eval_batches()["image"].shape
      (10, (8, 8, 1), (4, 64, 8, 8, 1))
    """
    if isinstance(config, ImageConfig):
        return ImageDataset(config, open_images(config))
    return Dataset(config, open_text(config), load_tokenizer(config.tokenizer))


def open_text(config: DataConfig) -> Source:
    """Return the source of text named `config.name`: embedded, one's own files, or of TFDS.

    Raises `TransferError` when it is unknown, not prepared or cannot be read.

    Example:
      >>> len(list(open_text(DataConfig(name="synthetic")).documents("test")))
      32
    """
    if config.name in TEXT_SOURCES:
        return TEXT_SOURCES[config.name](config)
    if path := own_path(config.name):
        return OwnText(OwnFiles(path), config)
    return open_tfds_text(config, TEXT_SOURCES)


def open_images(config: ImageConfig) -> ImageSource:
    """Return the source of images named `config.name`, prepared at first use.

    Raises `TransferError` when it is unknown, cannot be read, or its folder cannot be written.
    """
    if config.name in IMAGE_BUILDERS:
        return TfdsImages(
            prepared.prepare_embedded(config.name, lambda: _embedded(config), config.folder)
        )
    if path := own_path(config.name):
        return open_own_images(OwnFiles(path), config.record_folder)
    builder = prepared.open_prepared(
        config.name,
        config.data_dir,
        config.folder,
        kind="labeled-image",
        embedded=tuple(IMAGE_BUILDERS),
    )
    return TfdsImages(builder)


def image_shape(config: ImageConfig) -> tuple[int, int, int]:
    """Return (height, width, channels) of an image in a batch; nothing is prepared or downloaded.

    Raises `TransferError` when the data set is unknown, or its images vary in size and the
    configuration names none.

    Example:
      >>> image_shape(ImageConfig(name="digits")), image_shape(ImageConfig(name="cifar10"))
      ((8, 8, 1), (32, 32, 3))
    """
    source: ImageSource
    if path := own_path(config.name):
        source = open_own_images(OwnFiles(path), config.record_folder)
    elif config.name in IMAGE_BUILDERS:
        source = TfdsImages(_embedded(config))
    else:
        source = TfdsImages(
            prepared.find_builder(
                config.name, config.folder, "labeled-image", tuple(IMAGE_BUILDERS)
            )
        )
    if config.image_size:
        return config.image_size, config.image_size, source.shape[-1]
    return source.size()


def _embedded(config: ImageConfig) -> tfds.core.GeneratorBasedBuilder:
    return IMAGE_BUILDERS[config.name](data_dir=config.folder, file_format="array_record")

"""A configuration becomes the data set that it describes."""

import typing

from transfer.data.config import DataConfig
from transfer.data.dataset import Dataset
from transfer.data.images.config import ImageConfig
from transfer.data.images.dataset import ImageDataset, load_images
from transfer.data.sources import open_source
from transfer.data.tokenizers import load_tokenizer


@typing.overload
def load_dataset(config: DataConfig) -> Dataset: ...
@typing.overload
def load_dataset(config: ImageConfig) -> ImageDataset: ...
def load_dataset(config: DataConfig | ImageConfig) -> Dataset | ImageDataset:
    """Open, prepare and fingerprint the data set of a configuration: text, or labelled images.

    The first call prepares and tokenizes, later ones reuse the files. Raises `TransferError` when
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
        return load_images(config)
    return Dataset(config, open_source(config), load_tokenizer(config.tokenizer))

"""Whether a network for images fits a data set of them."""

from transfer.data import Dataset, ImageDataset
from transfer.errors import TransferError


def require_images_fit(image_channels: int, classes: int, dataset: Dataset | ImageDataset) -> None:
    """Raise `TransferError` unless the channels are those of the images, and classes suffice."""
    assert isinstance(dataset, ImageDataset)  # `Experiment` brings a model what it reads
    *_, channels = dataset.image_shape
    if image_channels != channels:
        raise TransferError(
            f"model.image_channels is {image_channels} but the images of {dataset.config.name} "
            f"have {channels}; set --config.model.image_channels={channels}."
        )
    if classes < dataset.classes:
        raise TransferError(
            f"model.classes is {classes} but {dataset.config.name} has {dataset.classes}; "
            f"expected at least as many: set --config.model.classes={dataset.classes}."
        )

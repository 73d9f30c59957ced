"""Which images to read, how to augment them, and where the prepared files live."""

import dataclasses

from etils import epath

from transfer.data.folder import data_folder
from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """One data set of labelled images and the shape of its batches, as plain scalars.

    kind            "images", which tells this section from one of text
    name            "digits" (embedded, no download), or any TFDS data set of images with one label
                    each, for instance "mnist", "cifar10" or "imagenet2012"
    train_split     TFDS split syntax, for instance "train" or "train[:10%]"
    eval_split      held-out split, same syntax; that of "imagenet2012" is "validation"
    data_dir        prepared data; empty means $TRANSFER_DATA_DIR, and where that is unset
                    ~/.cache/transfer/data
    batch_size      images per training step, over all processes
    eval_images     held-out images per evaluation, rounded down to whole batches
    crop_padding    images of one size: a training image is padded with this many zeros on each side
                    and cropped back at a random place; 0 leaves it as it is
    image_size      photographs of many sizes: the height and width that crops are resized to; 0
                    for images of one size, which keep it
    crop_area       photographs: the least share of its area that a training crop covers; 1 takes
                    the center, as for held-out photographs
    flip            whether a training image is mirrored left to right, every other time at random

    Training images are augmented, held-out ones never. TFDS prepares its own data sets with
    TensorFlow, once and on any machine; reading them needs none. Raises `TransferError` when a
    number is out of its range or an augmentation does not fit the images.

    Example:
      >>> ImageConfig(name="cifar10", crop_padding=4, flip=True).batch_size
      64
    """

    kind: str = dataclasses.field(default="images", init=False)
    name: str = "digits"
    train_split: str = "train"
    eval_split: str = "test"
    data_dir: str = ""
    batch_size: int = 64
    eval_images: int = 256
    crop_padding: int = 0
    image_size: int = 0
    crop_area: float = 1.0
    flip: bool = False

    def __post_init__(self) -> None:
        for field, least in (
            ("batch_size", 1),
            ("eval_images", 1),
            ("crop_padding", 0),
            ("image_size", 0),
        ):
            value = getattr(self, field)
            if value < least:
                raise TransferError(
                    f"data.{field} is {value}; expected a whole number of at least {least}."
                )
        if not 0 < self.crop_area <= 1:
            raise TransferError(
                f"data.crop_area is {self.crop_area}; expected the least share of a photograph's "
                "area in a training crop, above 0 and at most 1."
            )
        if self.image_size and self.crop_padding:
            raise TransferError(
                f"data.crop_padding is {self.crop_padding} with data.image_size "
                f"{self.image_size}; expected one of the two: padding is for images of one size, "
                "photographs are cropped by data.crop_area."
            )
        if not self.image_size and self.crop_area < 1:
            raise TransferError(
                f"data.crop_area is {self.crop_area} without data.image_size; expected the size "
                "that crops are resized to, for instance data.image_size=224."
            )
        if self.eval_images < self.batch_size:
            raise TransferError(
                f"data.eval_images is {self.eval_images}; expected at least one batch of "
                f"{self.batch_size}: raise it or lower data.batch_size."
            )

    @property
    def tokens_per_step(self) -> int:
        """Images of a training step: each is one token, since each is one prediction."""
        return self.batch_size

    @property
    def description(self) -> str:
        """The data in words."""
        return f"{self.name} in batches of {self.batch_size}"

    @property
    def folder(self) -> epath.Path:
        """Where prepared data is looked for."""
        return data_folder(self.data_dir)

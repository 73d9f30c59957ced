"""The `data` section of a configuration: which text or images to read, and how to batch them."""

import dataclasses
import os

from etils import epath

from transfer.errors import TransferError
from transfer.user_paths import user_path

# `data.name` is this and a path for files of one's own.
OWN_FILES = "folder:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """One data set and the shape of its batches, as plain scalars.

    kind            "text", which tells this section from one of images
    name            "stdlib_text" (embedded, no download), "synthetic", "folder:PATH" for files of
                    one's own, or any TFDS text data set
    train_split     TFDS split syntax, for instance "train" or "train[:1%]"; of files of one's own
                    the name alone
    eval_split      held-out split, same syntax
    text_feature    the feature, field or column that holds the text; the only one that holds text
                    in files of one's own without a "text"
    tokenizer       "bytes", or the path of a SentencePiece `.model` or Hugging Face `.json`
    data_dir        prepared data and token files; empty means $TRANSFER_DATA_DIR, and where that
                    is unset ~/.cache/transfer/data
    sequence_length tokens predicted per window; a window holds one more
    batch_size      windows per training step, over all processes
    eval_sequences  held-out windows per evaluation, rounded down to whole batches

    Raises `TransferError` when a length or count is below one.

    Example:
      >>> DataConfig(sequence_length=128).batch_size
      16
    """

    kind: str = dataclasses.field(default="text", init=False)
    name: str = "stdlib_text"
    train_split: str = "train"
    eval_split: str = "test"
    text_feature: str = "text"
    tokenizer: str = "bytes"
    data_dir: str = ""
    sequence_length: int = 64
    batch_size: int = 16
    eval_sequences: int = 256

    def __post_init__(self) -> None:
        for field in ("sequence_length", "batch_size", "eval_sequences"):
            value = getattr(self, field)
            if value < 1:
                raise TransferError(
                    f"data.{field} is {value}; expected a whole number of at least 1."
                )

    @property
    def tokens_per_step(self) -> int:
        """Tokens that a training step predicts."""
        return self.batch_size * self.sequence_length

    @property
    def description(self) -> str:
        """The data in words."""
        return (
            f"{self.name} ({self.tokenizer}), sequences of {self.sequence_length} in batches of "
            f"{self.batch_size}"
        )

    @property
    def folder(self) -> epath.Path:
        """Where prepared data is looked for."""
        return data_folder(self.data_dir)

    @property
    def token_folder(self) -> epath.Path:
        """Where token files go: beside the data, or in the default folder for data in a bucket.

        A memory map needs a local file, so each host keeps its own copy of a bucket's tokens.
        """
        return _local_folder(self.data_dir) / "tokens"

    @property
    def record_folder(self) -> epath.Path:
        """Where digests of large files of one's own are recorded, never in a bucket."""
        return _local_folder(self.data_dir) / "digests"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """One data set of labeled images and the shape of its batches, as plain scalars.

    kind            "images", which tells this section from one of text
    name            "digits" (embedded, no download), "folder:PATH" for a folder per class or an
                    `.npz` file of one's own, or any TFDS data set of images with one label each,
                    for instance "mnist", "cifar10" or "imagenet2012"
    train_split     TFDS split syntax, for instance "train" or "train[:10%]"; of files of one's own
                    the name alone
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

    @property
    def record_folder(self) -> epath.Path:
        """Where digests of large files of one's own are recorded, never in a bucket."""
        return _local_folder(self.data_dir) / "digests"


def data_folder(data_dir: str) -> epath.Path:
    """Return the folder that `data_dir` names; empty means the default.

    The default is $TRANSFER_DATA_DIR, and where that is unset ~/.cache/transfer/data.

    Example:
      >>> data_folder("gs://bucket/data")
      PosixGPath('gs://bucket/data')
    """
    folder = data_dir or os.environ.get("TRANSFER_DATA_DIR") or "~/.cache/transfer/data"
    return user_path(folder, "data folder")


def is_same_data_name(one: str | None, other: str | None) -> bool:
    """Whether two `data.name` may be of the same data: equal, or both of files of one's own.

    Where such files lie does not change what they are, which their fingerprint tells.

    Example:
      >>> is_same_data_name("folder:corpus", "folder:/mnt/corpus"), is_same_data_name("lm1b", "c4")
      (True, False)
    """
    return one == other or all(name and name.startswith(OWN_FILES) for name in (one, other))


def _local_folder(data_dir: str) -> epath.Path:
    """The data folder, or the default one in place of a bucket."""
    return data_folder("" if "://" in data_dir else data_dir)

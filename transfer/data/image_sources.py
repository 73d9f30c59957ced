"""Where labeled images come from: prepared TFDS data sets, read by random access."""

import io
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from transfer.data import prepared
from transfer.errors import TransferError

MODES = {1: "L", 3: "RGB"}  # Pillow's names of gray and color, by channels


class ImageSplit(Protocol):
    """The examples of one split, read as they are asked for, in a fixed order."""

    @property
    def source(self) -> "ImageSource":
        """What the split is of."""

    def __len__(self) -> int: ...

    def encoded(self, index: int) -> tuple[bytes, int]:
        """Return an image as it is stored, and its label; raises `TransferError` if it cannot."""

    def decoded(self, index: int) -> tuple[Image.Image, int]:
        """Return an image, gray or color by its channels, and its label.

        Raises `TransferError` when it cannot be read or decoded.
        """

    def recorded_fingerprint(self) -> str | None:
        """Return a digest by what is on record; None where all should be read, which is short."""


class ImageSource(Protocol):
    """Labeled images by split; labels are in [0, classes)."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    @property
    def shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of every image; height and width are None if they vary."""

    def size(self) -> tuple[int, int, int]:
        """Return the one shape of all images; raises `TransferError` when they vary."""

    def split(self, split: str) -> ImageSplit:
        """Return a split; raises `TransferError` when it does not exist, is empty or unreadable."""


class TfdsImages:
    """The image and the label of every example of a prepared TFDS data set, without TensorFlow.

    builder   what TFDS knows of the data set
    shape     (height, width, channels) of every image, height and width None where they vary
    classes   labels are in [0, classes)

    Raises `TransferError` when an example is not one image, gray or color, with one label.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder):
        features = builder.info.features
        keys: tuple[str, ...] = builder.info.supervised_keys or ()
        image, label = (features[key] for key in keys) if len(keys) == 2 else (None, None)
        if not (
            isinstance(image, tfds.features.Image)
            and isinstance(label, tfds.features.ClassLabel)
            and image.np_dtype == np.uint8
            and image.shape[-1] in MODES
        ):
            raise TransferError(
                f"The data set {builder.name} holds {', '.join(features)}; expected an image, gray "
                "or color in 8 bits, and its label: set data.name to a data set of labeled "
                "images."
            )
        self.builder = builder
        self.shape: tuple[int | None, int | None, int] = image.shape
        self.classes = int(label.num_classes)
        self.image_feature, self.label_feature = keys

    def size(self) -> tuple[int, int, int]:
        """Return the one shape of all images; raises `TransferError` when they vary."""
        return one_size(self.shape, self.builder.name)

    def split(self, split: str) -> "TfdsImageSplit":
        """Return a split; raises `TransferError` when it does not exist, is empty or unreadable."""
        prepared.split_info(self.builder, split)
        return TfdsImageSplit(self, split)


class TfdsImageSplit:
    """The examples of one split, read as they are asked for, in their order on disk."""

    def __init__(self, source: TfdsImages, name: str):
        self.source = source
        self.name = name
        try:
            # Left encoded: TFDS decodes with OpenCV where it is installed and else with Pillow.
            self._examples = source.builder.as_data_source(
                split=name, decoders={source.image_feature: tfds.decode.SkipDecoding()}
            )
        except Exception as error:  # TFDS raises many kinds for one thing: files it cannot read
            raise prepared.cannot_be_read(source.builder, name, error) from error

    def __len__(self) -> int:
        return len(self._examples)

    def encoded(self, index: int) -> tuple[bytes, int]:
        """Return an image as it is stored, and its label.

        Raises `TransferError` when it cannot be read or has no label.
        """
        try:
            example = self._examples[index]
        except Exception as error:
            raise prepared.cannot_be_read(self.source.builder, self.name, error) from error
        label = int(example[self.source.label_feature])
        if not 0 <= label < self.source.classes:
            raise TransferError(
                f'The split "{self.name}" of {self.source.builder.name} holds the label {label}; '
                f"expected 0 to {self.source.classes - 1}: choose a split that has labels."
            )
        return example[self.source.image_feature], label

    def decoded(self, index: int) -> tuple[Image.Image, int]:
        """Return an image, gray or color as the data set says, and its label.

        Raises `TransferError` as `encoded` does, and when the image cannot be decoded.
        """
        content, label = self.encoded(index)
        try:
            # Some files of a color data set are gray.
            return Image.open(io.BytesIO(content)).convert(MODES[self.source.shape[-1]]), label
        except Exception as error:
            raise prepared.cannot_be_read(self.source.builder, self.name, error) from error

    def recorded_fingerprint(self) -> str | None:
        """Return a digest of what TFDS recorded of a split of 1 GiB or more; None below that."""
        if not prepared.is_large(self.source.builder, self.name):
            return None
        return prepared.recorded_fingerprint(
            self.source.builder, self.source.image_feature, self.name
        )


def one_size(shape: tuple[int | None, int | None, int], name: str) -> tuple[int, int, int]:
    """Return the shape of all images of a data set; raises `TransferError` when they vary."""
    height, width, channels = shape
    if height is None or width is None:
        raise TransferError(
            f"The images of {name} vary in size; expected one size for all: set "
            "data.image_size, for instance to 224."
        )
    return height, width, channels


_GRAY_LEVELS = 17  # each pixel counts the dark ones among 4 x 4 of the scan
_HELD_OUT_ONE_IN = 6


class SklearnDigits(tfds.core.GeneratorBasedBuilder):
    """The 1,797 handwritten digits, 8 x 8, that scikit-learn ships: real images without a download.

    The features are image, uint8 (8, 8, 1) from 0 to 240 in steps of 15, and label, 0 to 9.

    The sixth, twelfth, ... image of each class is held out as "test" (296 images) and the rest is
    "train" (1,501), both in scikit-learn's order, so the classes are as frequent in both.

    Source: the test set of Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI,
    1998.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # nothing is downloaded, so TFDS need not look for checksums

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The handwritten digits of scikit-learn.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, object]]]]:
        del dl_manager
        return {
            "train": self._generate_examples(held_out=False),
            "test": self._generate_examples(held_out=True),
        }

    def _generate_examples(self, held_out: bool) -> Iterator[tuple[int, dict[str, object]]]:
        from sklearn.datasets import load_digits  # takes seconds, and only to prepare

        digits = load_digits()
        images = (digits.images * (255 // (_GRAY_LEVELS - 1))).astype(np.uint8)
        for key, (image, label) in enumerate(zip(images, digits.target, strict=True)):
            rank = np.count_nonzero(digits.target[:key] == label)
            if (rank % _HELD_OUT_ONE_IN == _HELD_OUT_ONE_IN - 1) == held_out:
                # As PNG by Pillow: TFDS encodes an array with TensorFlow.
                yield key, {"image": Image.fromarray(image), "label": int(label)}

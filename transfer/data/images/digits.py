"""The embedded images: the 1,797 handwritten digits, 8 x 8, that scikit-learn ships.

Real images that need no download, and so small that a sweep over widths takes minutes on a laptop.
From the test set of Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from transfer.data.images.config import ImageConfig
from transfer.data.images.source import ImageSource
from transfer.data.prepared import prepare_embedded

_GRAY_LEVELS = 17  # each pixel counts the dark ones among 4 x 4 of the scan
_HELD_OUT_ONE_IN = 6


class SklearnDigits(tfds.core.GeneratorBasedBuilder):
    """Features image, uint8 (8, 8, 1) from 0 to 240 in steps of 15, and label, 0 to 9.

    The sixth, twelfth, ... image of each class is held out as "test" (296 images) and the rest is
    "train" (1,501), both in scikit-learn's order, so the classes are as frequent in both.
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


def open_digits(config: ImageConfig) -> ImageSource:
    """Open the embedded images, prepared in `config.folder` at first use.

    Raises `TransferError` when the folder cannot be written.
    """

    def make() -> SklearnDigits:
        return SklearnDigits(data_dir=config.folder, file_format="array_record")

    return ImageSource(prepare_embedded("digits", make, config.folder))

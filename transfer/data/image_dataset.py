"""Labeled images as a data set: augmented, and normalized by their mean and standard deviation."""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np

from transfer.data.config import ImageConfig
from transfer.data.fingerprint import combine_fingerprints
from transfer.data.image_sources import ImageSource
from transfer.data.image_stores import Images, Photographs, SizedImages
from transfer.data.pipeline import BatchIterator, require_a_batch
from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True)
class Normalization:
    """x -> (x - mean) / std, with one mean and one std a channel, in units of 8-bit pixels.

    Example:
      >>> pixels = np.array([0, 2], np.uint8).reshape(2, 1, 1, 1)
      >>> Normalization.of(pixels)(pixels).ravel()
      array([-1.,  1.], dtype=float32)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: np.ndarray) -> "Normalization":
        """Measure images, uint8 (..., channels), the same to the last bit on every machine.

        Raises `TransferError` when a channel has the same value everywhere.
        """
        levels = np.arange(256)
        mean, std = [], []
        for channel in np.moveaxis(images, -1, 0):
            # Sums of whole numbers have no rounding, whatever their order.
            counts = np.bincount(channel.ravel(), minlength=256)
            n, total, squares = (int(counts @ levels**k) for k in range(3))
            if n * squares == total**2:
                raise TransferError(
                    f"A channel of the training images is {total // max(n, 1)} everywhere; "
                    "expected images that differ: choose another split."
                )
            mean.append(total / n)
            std.append((n * squares - total**2) ** 0.5 / n)
        return cls(tuple(mean), tuple(std))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Normalize images, uint8 (..., channels), as float32 of the same shape."""
        mean, std = np.array([self.mean, self.std], np.float32)
        return (images.astype(np.float32) - mean) / std


class ImageDataset:
    """Training and held-out images of one data set.

    classes        labels are in [0, classes)
    image_shape    (height, width, channels) of an image in a batch
    normalization  mean and standard deviation of the training pixels, before augmentation: of all
                   of them, or of 1,024 photographs
    fingerprint    sha256 hex digest of training and held-out images and labels, the images
                   themselves below 1 GiB a split and TFDS's record of photographs from there on
    config         what was loaded

    Raises `TransferError` when a split holds less than one batch, or the images vary in size and
    the configuration names none.
    """

    def __init__(self, config: ImageConfig, source: ImageSource):
        self.config = config
        self.classes = source.classes
        train, held_out = _open(config, source)
        for images, split in ((train, config.train_split), (held_out, config.eval_split)):
            if len(images) < config.batch_size:
                raise TransferError(
                    f'The split "{split}" of {config.name} has {len(images)} images; expected at '
                    f"least one batch of {config.batch_size}: widen the split or lower "
                    "data.batch_size."
                )
        self.image_shape = train.shape
        self.fingerprint = combine_fingerprints(train.fingerprint(), held_out.fingerprint())
        self.normalization = Normalization.of(train.sample())
        self._train = _Examples(train, self.normalization)
        self._held_out = _Examples(held_out, self.normalization)

    def in_batches_of(self, size: int) -> "ImageDataset":
        """Return the same data in batches of another size.

        Raises `TransferError` when a split holds less than one such batch.

        Example:
          >>> from transfer.data import load_dataset
          >>> load_dataset(ImageConfig()).in_batches_of(32).eval_batches()["label"].shape
          (8, 32)
        """
        if size == self.config.batch_size:
            return self
        require_a_batch(size, len(self._train), len(self._held_out), self.config.eval_images)
        same = copy.copy(self)
        same.config = dataclasses.replace(self.config, batch_size=size)
        return same

    @property
    def held_out_examples(self) -> int:
        """How many images an evaluation reads."""
        size = self.config.batch_size
        return min(self.config.eval_images, len(self._held_out)) // size * size

    def batches(self, seed: int, *, rows: Sequence[int] | None = None) -> BatchIterator:
        """Return endless training batches.

        A batch is {"image": float32 (local batch, *image_shape), "label": int32 (local batch,)}.
        Every image comes once per epoch, in an order and augmented in ways set by `seed`, anew each
        epoch. With `rows`, one of several processes gets only those rows of the batch that a single
        process would get. Raises `TransferError` when the batch has no such row.

        Example:
          >>> from transfer.data import ImageConfig, load_dataset
          >>> batches = load_dataset(ImageConfig(crop_padding=1)).batches(seed=0)
          >>> batch = next(batches)
          >>> batch["image"].shape, batch["label"].shape, batches.get_state()
          ((64, 8, 8, 1), (64,), {'next_index': 1})
        """
        return BatchIterator(self._train, self.config.batch_size, seed, rows)

    def eval_batches(self) -> dict[str, np.ndarray]:
        """Return held-out batches, as training batches with a leading axis of batches.

        They are never augmented, the same at every call and on every process, and spread evenly
        over the split: `eval_images` images, or as many as there are, rounded down to whole
        batches.
        """
        size = self.config.batch_size
        count = min(self.config.eval_images, len(self._held_out)) // size
        indices = np.arange(count * size) * len(self._held_out) // (count * size)
        taken = self._held_out.take(indices, np.empty((len(indices), 0)))
        return {name: rows.reshape(count, size, *rows.shape[1:]) for name, rows in taken.items()}


class _Examples:
    """Images as the pipeline takes them: normalized, with their labels."""

    def __init__(self, images: Images, normalization: Normalization):
        self._images = images
        self._normalization = normalization
        self.uniforms = images.uniforms
        self.reading_threads = images.reading_threads

    def __len__(self) -> int:
        return len(self._images)

    def take(self, indices: np.ndarray, uniforms: np.ndarray) -> dict[str, np.ndarray]:
        """Return images by index, augmented by numbers in [0, 1)."""
        pixels, labels = self._images.read(indices, uniforms)
        return {"image": self._normalization(pixels), "label": labels}


def _open(config: ImageConfig, source: ImageSource) -> tuple[Images, Images]:
    """Return the training images, augmented, and the held-out ones, as they are."""
    train, held_out = source.split(config.train_split), source.split(config.eval_split)
    if config.image_size:
        return (
            Photographs(train, config.image_size, config.crop_area, config.flip),
            Photographs(held_out, config.image_size),
        )
    return SizedImages(train, config.crop_padding, config.flip), SizedImages(held_out)

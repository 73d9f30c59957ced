"""Pixels of a batch: from images of one size in memory, or from photographs on disk."""

import hashlib
from typing import Protocol

import numpy as np
from PIL import Image

from transfer.data import image_augmentation as augmentation
from transfer.data.image_sources import ImageSplit

_SAMPLE = 1024  # photographs that stand for a split where its pixels are measured
_THREADS = 8


class Images(Protocol):
    """Pixels and labels by index; `uniforms` and `reading_threads` as in `pipeline.Examples`."""

    @property
    def uniforms(self) -> int:
        """Random numbers that augment one image; 0 where nothing does."""

    @property
    def reading_threads(self) -> int:
        """Batches read ahead."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what `read` returns."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels, uint8 (indices, *shape), and labels, int32 (indices,)."""

    def sample(self) -> np.ndarray:
        """Return pixels that are not augmented, uint8 (n, *shape), to measure them."""

    def fingerprint(self) -> str:
        """Return a sha256 hex digest that changes with the images of the split."""


class SizedImages:
    """Images of one size, decoded once and held in memory; reading pads and crops, then flips.

    Numbers of an image: its crop's top and left, and whether it is flipped.
    """

    reading_threads = 0  # a batch takes a millisecond or so

    def __init__(self, split: ImageSplit, crop_padding: int = 0, flip: bool = False):
        self.shape = split.source.size()
        self._pixels = np.empty((len(split), *self.shape), np.uint8)
        self._labels = np.empty(len(split), np.int32)
        for i in range(len(split)):
            image, self._labels[i] = split.decoded(i)
            self._pixels[i] = np.asarray(image).reshape(self.shape)
        self._crop_padding = crop_padding
        self._flip = flip

    @property
    def uniforms(self) -> int:
        """Random numbers that augment one image."""
        return 3 if self._crop_padding or self._flip else 0

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, indices: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels and labels by index."""
        pixels = self._pixels[indices]
        if self._crop_padding:
            pixels = augmentation.pad_and_crop(pixels, self._crop_padding, uniforms[:, :2])
        if self._flip:
            pixels = augmentation.flip(pixels, uniforms[:, 2])
        return pixels, self._labels[indices]

    def sample(self) -> np.ndarray:
        """Return all pixels."""
        return self._pixels

    def fingerprint(self) -> str:
        """Return the sha256 hex digest of all pixels and labels."""
        digest = hashlib.sha256(repr(self._pixels.shape).encode())
        digest.update(self._pixels.tobytes())
        digest.update(self._labels.astype("<i4").tobytes())
        return digest.hexdigest()


class Photographs:
    """Photographs of any size, decoded as they are asked for; reading crops, resizes, then flips.

    Numbers of a photograph: its crop's area, aspect, top and left, and whether it is flipped. The
    crop is the center one where `crop_area` is 1.
    """

    reading_threads = _THREADS  # Pillow decodes and resizes outside Python's lock

    def __init__(self, split: ImageSplit, size: int, crop_area: float = 1.0, flip: bool = False):
        self._split = split
        self.shape = (size, size, split.source.shape[-1])
        self._crop_area = crop_area
        self._flip = flip

    @property
    def uniforms(self) -> int:
        """Random numbers that augment one photograph."""
        return 5 if self._crop_area < 1 or self._flip else 0

    def __len__(self) -> int:
        return len(self._split)

    def read(self, indices: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels and labels by index."""
        pixels = np.empty((len(indices), *self.shape), np.uint8)
        labels = np.empty(len(indices), np.int32)
        for i, (index, numbers) in enumerate(zip(indices, uniforms, strict=True)):
            image, labels[i] = self._split.decoded(int(index))
            if self._crop_area < 1:
                box = augmentation.random_box(
                    image.height, image.width, self._crop_area, numbers[:4]
                )
            else:
                box = augmentation.center_box(image.height, image.width)
            pixels[i] = self._resized(image, box)
        if self._flip:
            pixels = augmentation.flip(pixels, uniforms[:, 4])
        return pixels, labels

    def sample(self) -> np.ndarray:
        """Return the center crops of up to 1,024 photographs, spread evenly over the split."""
        count = min(_SAMPLE, len(self))
        indices = np.arange(count) * len(self) // count
        pixels = np.empty((count, *self.shape), np.uint8)
        for i, index in enumerate(indices):
            image, _ = self._split.decoded(int(index))
            pixels[i] = self._resized(image, augmentation.center_box(image.height, image.width))
        return pixels

    def fingerprint(self) -> str:
        """Return a sha256 hex digest that names the content of the split.

        Below 1 GiB it covers every photograph as it is stored, and its label. From there on, where
        reading all at every start would take too long, it covers what is on record of the split.
        """
        recorded = self._split.recorded_fingerprint()
        if recorded is not None:
            return recorded
        digest = hashlib.sha256()
        for i in range(len(self)):
            content, label = self._split.encoded(i)
            digest.update(f"{len(content)} {label} ".encode())
            digest.update(content)
        return digest.hexdigest()

    def _resized(self, image: Image.Image, box: augmentation.Box) -> np.ndarray:
        size = self.shape[:2]
        resized = image.resize(size, resample=Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized).reshape(self.shape)

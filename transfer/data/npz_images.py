"""Labeled images from the arrays of an `.npz` file, as numpy writes it, read without pickle."""

import zipfile
import zlib
from typing import Any

import numpy as np
from PIL import Image

from transfer.data.image_sources import MODES
from transfer.data.own_files import HELD_OUT_ONE_IN, OwnFile, is_held_out, unreadable
from transfer.errors import TransferError, nearest

_IMAGES = ("images", "image", "x", "X")
_LABELS = ("labels", "label", "y", "Y")
_SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval")
_DAMAGE = (OSError, EOFError, ValueError, KeyError, zlib.error, zipfile.BadZipFile)


class NpzImages:
    """Images uint8 (n, height, width[, 1 or 3]) and labels, integers (n,) or (n, 1).

    The arrays are named `images` and `labels` (or `image` and `label`, `x` and `y`), of which one
    in 10 is held out by a hash of its pixels, or with a split before or behind, such as `x_train`,
    `y_train`, `x_test`, `y_test` or `train_images`, `train_labels`, `test_images`, `test_labels`.

    splits   the names of the splits there are
    shape    (height, width, channels) of every image
    classes  labels are in [0, classes)

    Raises `TransferError` when the file holds no such arrays or cannot be read.
    """

    def __init__(self, file: OwnFile):
        self.file = file
        with _Archive(file) as arrays:
            names = list(arrays)
            self._arrays = _by_split(names)
            if not self._arrays:
                raise TransferError(
                    f"The file {file} holds the arrays {', '.join(names) or 'none'}; expected "
                    "images and labels, or train_images, train_labels, test_images and "
                    "test_labels, or x_train, y_train, x_test and y_test."
                )
            self._labels = {
                split: _labels(file, label, arrays[label])
                for split, (_, label) in self._arrays.items()
            }
            # Reading one is cheap beside training on it, and an archive has no header of it.
            first, _ = next(iter(self._arrays.values()))
            self.shape = _pixels(file, first, arrays[first]).shape[1:]
        self.classes = 1 + max(int(labels.max(initial=-1)) for labels in self._labels.values())
        self.splits = ("train", "test") if "" in self._arrays else tuple(self._arrays)

    def size(self) -> tuple[int, int, int]:
        """Return the shape of all images."""
        height, width, channels = self.shape
        return height, width, channels

    def split(self, split: str) -> "NpzImageSplit":
        """Return a split; raises `TransferError` when it does not exist or is empty."""
        if split not in self.splits:
            raise TransferError(
                f'The images in {self.file} have no split "{split}"{nearest(split, self.splits)}; '
                f"expected one of {', '.join(self.splits)} as data.train_split and data.eval_split."
            )
        stored = "" if "" in self._arrays else split
        name, label = self._arrays[stored]
        with _Archive(self.file) as arrays:
            pixels = _pixels(self.file, name, arrays[name])
        labels = self._labels[stored]
        if len(pixels) != len(labels) or pixels.shape[1:] != self.shape:
            raise TransferError(
                f"The file {self.file} holds {name} of shape {pixels.shape} and {len(labels)} "
                f"{label}; expected as many labels as images, each of shape {self.shape}."
            )
        if stored == "":
            held_out = np.array([is_held_out(each.tobytes()) for each in pixels], bool)
            chosen = held_out == (split != "train")
            pixels, labels = pixels[chosen], labels[chosen]
        if not len(pixels):
            raise TransferError(
                f'The split "{split}" of {self.file} holds no image; expected some: one in '
                f"{HELD_OUT_ONE_IN} is held out where train and test have no arrays of their own."
            )
        return NpzImageSplit(self, pixels, labels)


class NpzImageSplit:
    """The images of one split, in memory."""

    def __init__(self, source: NpzImages, pixels: np.ndarray, labels: np.ndarray):
        self.source = source
        self._pixels = pixels
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    def encoded(self, index: int) -> tuple[bytes, int]:
        """Return the pixels of an image, and its label."""
        return self._pixels[index].tobytes(), int(self._labels[index])

    def decoded(self, index: int) -> tuple[Image.Image, int]:
        """Return an image, gray or color as the array says, and its label."""
        pixels = self._pixels[index]
        mode = MODES[pixels.shape[-1]]
        image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
        return image, int(self._labels[index])

    def recorded_fingerprint(self) -> str | None:
        """Return None: the images are in memory, so a digest of all is short."""
        return None


class _Archive:
    """The arrays of a file by name, each read when it is asked for."""

    def __init__(self, file: OwnFile):
        self._file = file

    def __enter__(self) -> "_Archive":
        try:
            self._content = self._file.path.open("rb")
            if not zipfile.is_zipfile(self._content):  # which numpy would take for a pickle
                raise ValueError("it is no archive")
            self._arrays = np.load(self._content, allow_pickle=False)
            self._names = self._arrays.files
        except _DAMAGE as error:
            raise self._unreadable(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()

    def __iter__(self) -> Any:
        return iter(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            array: np.ndarray = self._arrays[name]
        except _DAMAGE as error:
            raise self._unreadable(error) from error
        return array

    def _unreadable(self, error: Exception) -> TransferError:
        expected = "whole arrays of numbers, as numpy.savez writes them: write it again"
        return unreadable(self._file, error, expected)


def _by_split(names: list[str]) -> dict[str, tuple[str, str]]:
    """The names of images and labels by split; the split is empty where they name none."""
    found = {}
    for split in ("", *_SPLITS):
        pairs = [
            (images, labels)
            for images, labels in zip(
                _spelled(_IMAGES, split), _spelled(_LABELS, split), strict=True
            )
            if images in names and labels in names
        ]
        if pairs:
            found[split] = pairs[0]
    given = {split: pair for split, pair in found.items() if split}
    return given if len(given) > 1 else {k: v for k, v in found.items() if not k}


def _spelled(stems: tuple[str, ...], split: str) -> list[str]:
    if not split:
        return list(stems)
    return [name for stem in stems for name in (f"{stem}_{split}", f"{split}_{stem}")]


def _pixels(file: OwnFile, name: str, array: np.ndarray) -> np.ndarray:
    """Images as (n, height, width, channels)."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in MODES or array.dtype != np.uint8:
        raise TransferError(
            f"The array {name} of {file} is {array.dtype} of shape {array.shape}; expected images "
            "in uint8 of shape (n, height, width), or (n, height, width, channels) with 1 or 3 "
            "channels."
        )
    return array


def _labels(file: OwnFile, name: str, array: np.ndarray) -> np.ndarray:
    """Labels as (n,)."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    is_whole = np.issubdtype(array.dtype, np.integer)
    if array.ndim != 1 or not is_whole or (array < 0).any():
        raise TransferError(
            f"The array {name} of {file} is {array.dtype} of shape {array.shape}; expected whole "
            "numbers from 0 on, one for each image."
        )
    return array.astype(np.int64)

"""Labeled images of one's own: a folder per class, or the arrays of an `.npz` file."""

import io
import os

from etils import epath
from PIL import Image

from transfer.data import prepared
from transfer.data.image_sources import MODES, ImageSource, one_size
from transfer.data.npz_images import NpzImages
from transfer.data.own_files import FileSplit, OwnFile, OwnFiles, fingerprint_files, unreadable
from transfer.errors import TransferError

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
_LOOKED_AT = 64  # images whose headers stand for all of them
_GRAY = ("1", "L", "LA")
_DEEP = ("I", "F")  # Pillow's names of more than 8 bits a channel begin so


def open_own_images(files: OwnFiles, records: epath.Path) -> ImageSource:
    """Return the images of an `.npz` file, or of a folder with a folder per class.

    `records` is where digests of large files are recorded. Raises `TransferError` when the files
    are neither.
    """
    if len(files.files) == 1 and files.files[0].ending == ".npz":
        return NpzImages(files.files[0])
    return FolderImages(files, records)


class FolderImages:
    """Images in a folder for each class: `cat/1.png`, or `train/cat/1.png` and `test/cat/2.png`.

    Without folders `train` and `test` one image in 10 is held out, by a hash of its path.

    names     of the classes, in the order of their labels, which is that of the alphabet
    shape     (height, width, channels) of every image, by the headers of up to 64 of them: gray
              only if all of these are gray, height and width None if they vary
    classes   labels are in [0, classes)

    Raises `TransferError` when a file is no image, lies in no folder of a class, or cannot be read.
    """

    def __init__(self, files: OwnFiles, records: epath.Path):
        self.files = files
        self.records = records
        self._images = {name: _images(files.split(name)) for name in files.splits}
        everything = [file for images in self._images.values() for file in images]
        self.names = tuple(sorted({self.class_of(file) for file in everything}))
        self.classes = len(self.names)
        count = min(_LOOKED_AT, len(everything))
        headers = [_header(everything[i * len(everything) // count]) for i in range(count)]
        sizes = {size for size, _ in headers}
        width, height = sizes.pop() if len(sizes) == 1 else (None, None)
        channels = 1 if all(mode in _GRAY for _, mode in headers) else 3
        self.shape: tuple[int | None, int | None, int] = (height, width, channels)

    def size(self) -> tuple[int, int, int]:
        """Return the one shape of all images; raises `TransferError` when they vary."""
        return one_size(self.shape, os.fspath(self.files.root))

    def split(self, split: str) -> "FolderImageSplit":
        """Return a split; raises `TransferError` when it does not exist or is empty."""
        chosen = self.files.split(split)
        if not self._images[split]:
            total = sum(map(len, self._images.values()))
            raise self.files.empty_split(chosen, total, "images")
        return FolderImageSplit(self, self._images[split])

    def class_of(self, file: OwnFile) -> str:
        """Return the class of an image: its folder below the root, or below that of its split."""
        *folders, _ = file.name.split("/")[1 if self.files.has_splits else 0 :]
        if not folders:
            raise TransferError(
                f"The image {file} lies in no folder of a class; expected a folder for each class, "
                "such as cat/1.png: move it into one."
            )
        return folders[0]


class FolderImageSplit:
    """The images of one split, read as they are asked for, in the order of their paths."""

    def __init__(self, source: FolderImages, files: list[OwnFile]):
        self.source = source
        self._files = files
        labels = {name: label for label, name in enumerate(source.names)}
        self._labels = [labels[source.class_of(file)] for file in files]

    def __len__(self) -> int:
        return len(self._files)

    def encoded(self, index: int) -> tuple[bytes, int]:
        """Return an image as it is stored, and its label; raises `TransferError` if it cannot."""
        file = self._files[index]
        try:
            return file.path.read_bytes(), self._labels[index]
        except OSError as error:
            raise unreadable(file, error, "an image with permission to read") from error

    def decoded(self, index: int) -> tuple[Image.Image, int]:
        """Return an image, gray or color as most of them are, and its label.

        Raises `TransferError` when it cannot be read or decoded, is of more than 8 bits a channel,
        or is not of the size that all have.
        """
        content, label = self.encoded(index)
        file = self._files[index]
        height, width, channels = self.source.shape
        try:
            stored = Image.open(io.BytesIO(content))
            _require_bytes(stored.mode, file)
            image = stored.convert(MODES[channels])
        except TransferError:
            raise
        except Exception as error:  # Pillow raises many kinds for one thing: content it cannot read
            raise unreadable(file, error, "a whole image: mend or remove it") from error
        if height is not None and image.size != (width, height):
            raise TransferError(
                f"The image {file} is {image.width} wide and {image.height} high, others are "
                f"{width} wide and {height} high; expected one size for all: set data.image_size, "
                "for instance to 224."
            )
        return image, label

    def recorded_fingerprint(self) -> str | None:
        """Return a digest of the files if they hold 1 GiB or more; None below that.

        Files whose size and time of modification are as before are not read again.
        """
        if sum(file.size for file in self._files) < prepared.CONTENT_LIMIT:
            return None
        return fingerprint_files(self._files, self.source.class_of, self.source.records)


def _images(split: FileSplit) -> list[OwnFile]:
    for file in split.files:
        if file.ending not in _ENDINGS:
            raise TransferError(
                f"The file {file} is no image by its ending; expected one of "
                f"{', '.join(_ENDINGS)} in a folder for each class, or one "
                ".npz file: move it elsewhere."
            )
    return [file for file in split.files if split.has(file.name.encode(errors="surrogateescape"))]


def _header(file: OwnFile) -> tuple[tuple[int, int], str]:
    """Width and height of an image, and the kind of its pixels."""
    try:
        with file.path.open("rb") as content, Image.open(content) as image:
            _require_bytes(image.mode, file)
            return image.size, image.mode
    except TransferError:
        raise
    except Exception as error:
        raise unreadable(file, error, "a whole image: mend or remove it") from error


def _require_bytes(mode: str, file: OwnFile) -> None:
    if mode.startswith(_DEEP):
        raise TransferError(
            f"The image {file} has more than 8 bits a channel; expected 8: convert it."
        )

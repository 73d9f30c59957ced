"""Files of one's own, which `data.name="folder:PATH"` names: listed, split and fingerprinted."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from transfer.atomic import atomic_write
from transfer.data import prepared
from transfer.data.config import OWN_FILES
from transfer.data.fingerprint import combine_fingerprints
from transfer.errors import TransferError, nearest
from transfer.user_paths import user_path

HELD_OUT_ONE_IN = 10

_TRAIN = "train"
_HELD_OUT_FOLDERS = ("test", "validation", "valid", "val", "dev", "eval")
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class OwnFile:
    """A file below the path that was named.

    Fields:
      name: its path below that path, with slashes; the last part where that path is the file.
      path: where it is.
      size: in bytes.
      modified: when it was written last, in the units of its file system.
    """

    name: str
    path: epath.Path
    size: int
    modified: int

    def __str__(self) -> str:
        return os.fspath(self.path)

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of its name in lower case, such as (".jsonl", ".gz")."""
        return tuple(pathlib.PurePosixPath(self.name.lower()).suffixes)

    @property
    def ending(self) -> str:
        """The last of its endings, or nothing."""
        return self.endings[-1] if self.endings else ""


@dataclasses.dataclass(frozen=True)
class FileSplit:
    """The files of one split, and which of their examples belong to it.

    Fields:
      name: of the split.
      files: in the order of their names.
      held_out: whether it takes those examples that `is_held_out` chooses, or the others; None if
        all of them belong to it, because the split has a folder of its own.
    """

    name: str
    files: tuple[OwnFile, ...]
    held_out: bool | None

    def has(self, content: bytes) -> bool:
        """Whether the split takes the example of this content or name."""
        return self.held_out is None or is_held_out(content) == self.held_out


class OwnFiles:
    """The files of one's own below a path, without those whose name begins with a dot.

    root        the path, of a folder or of one file
    files       in the order of their names
    has_splits  whether folders `train` and `test` (or `validation`, `valid`, `val`, `dev`, `eval`)
                below the path are the splits; if not, one example in 10 is held out as `test`, by
                a hash of the example alone, and the rest is `train`

    A Hugging Face data set saved to disk consists of the Arrow files that its `state.json` lists.
    Raises `TransferError` when there is no such path, no file in it, or it cannot be read.
    """

    def __init__(self, root: epath.Path):
        self.root = root
        try:
            self.files = tuple(sorted(_files(root), key=lambda file: file.name))
        except OSError as error:
            raise TransferError(
                f"The data in {root} cannot be read ({error.strerror or error}); expected a file "
                f"or a folder with permission to read: set data.name to {OWN_FILES}PATH."
            ) from error
        if not self.files:
            raise TransferError(
                f"The folder {root} holds no files; expected text or images: set data.name to "
                f"{OWN_FILES}PATH of a folder that has some."
            )
        tops = {file.name.partition("/")[0] for file in self.files if "/" in file.name}
        self.has_splits = _TRAIN in tops and not tops.isdisjoint(_HELD_OUT_FOLDERS)
        given = [name for name in (_TRAIN, *_HELD_OUT_FOLDERS) if name in tops]
        self.splits = tuple(given) if self.has_splits else (_TRAIN, "test")

    def split(self, name: str) -> FileSplit:
        """Return a split; raises `TransferError` when there is none of that name."""
        if name not in self.splits:
            raise TransferError(
                f'The data in {self.root} have no split "{name}"{nearest(name, self.splits)}; '
                f"expected one of {', '.join(self.splits)} as data.train_split and data.eval_split."
            )
        if not self.has_splits:
            return FileSplit(name, self.files, held_out=name != _TRAIN)
        files = tuple(file for file in self.files if file.name.startswith(f"{name}/"))
        return FileSplit(name, files, held_out=None)

    def empty_split(self, split: FileSplit, count: int, what: str) -> TransferError:
        """Return the error for a split that takes none of the `count` examples there are."""
        if split.held_out is None:
            reason = f"its folder holds no {what}"
        else:
            reason = f"{count} {what} are there, of which one in {HELD_OUT_ONE_IN} is held out"
        return TransferError(
            f'The split "{split.name}" of {self.root} is empty: {reason}; expected more of them, '
            "or folders train and test of your own."
        )


def own_path(name: str) -> epath.Path | None:
    """Return the path in a name of files of one's own, `folder:PATH`; None for any other name.

    Raises `TransferError` when the path is empty or is none.

    Example:
      >>> own_path("folder:gs://bucket/text"), own_path("synthetic")
      (PosixGPath('gs://bucket/text'), None)
    """
    if not name.startswith(OWN_FILES):
        return None
    path = name.removeprefix(OWN_FILES)
    if not path:
        raise TransferError(
            f'The data.name "{name}" has no path; expected {OWN_FILES}PATH of a file or folder.'
        )
    return user_path(path, "data")


def is_held_out(content: bytes) -> bool:
    """Whether an example belongs to the held-out tenth; equal examples are on the same side.

        sha256(content) mod 10 = 0

    Example:
      >>> sum(is_held_out(b"%d" % i) for i in range(1000))
      99
    """
    return int.from_bytes(hashlib.sha256(content).digest(), "big") % HELD_OUT_ONE_IN == 0


def fingerprint_files(
    files: Sequence[OwnFile], describe: Callable[[OwnFile], str], records: epath.Path
) -> str:
    """Return a sha256 hex digest of the bytes of files, in order, with what describes each.

    Below 1 GiB all files are read each time. From there on the digest of a file is recorded in the
    folder `records` and read again once the file's size or time of modification differs.
    Raises `TransferError` when a file cannot be read or the folder cannot be written.
    """
    is_large = sum(file.size for file in files) >= prepared.CONTENT_LIMIT
    digests = _recorded_digests(files, records) if is_large else [*map(_digest, files)]
    return combine_fingerprints(*map(describe, files), *digests)


def unreadable(file: OwnFile, error: Exception, expected: str) -> TransferError:
    """Return the error for a file that cannot be read, whatever library found that out.

    `expected` says what it should be and what to do.
    """
    said = " ".join((getattr(error, "strerror", None) or str(error)).split()).rstrip(".:;")
    reason = said[:200] or type(error).__name__
    return TransferError(f"The file {file} cannot be read ({reason}); expected {expected}.")


def _recorded_digests(files: Sequence[OwnFile], records: epath.Path) -> list[str]:
    places = combine_fingerprints(*(ascii(os.fspath(file.path)) for file in files))
    path = records / f"{places[:32]}.json"
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):  # missing or damaged
        known = {}
    stamps = [f"{file.name!a} {file.size} {file.modified}" for file in files]
    digests = {stamp: known.get(stamp) for stamp in stamps}
    for stamp, file in zip(stamps, files, strict=True):
        digests[stamp] = digests[stamp] or _digest(file)
    if digests != known:
        with atomic_write(path) as output:
            output.write(json.dumps(digests).encode())
    return [digests[stamp] for stamp in stamps]


def _digest(file: OwnFile) -> str:
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise unreadable(file, error, "a file with permission to read") from error
    return digest.hexdigest()


def _files(root: epath.Path) -> Iterator[OwnFile]:
    if not root.exists():
        raise TransferError(
            f"There is no {root}; expected a file or a folder: set data.name to {OWN_FILES}PATH of "
            "one that exists."
        )
    if not root.is_dir():
        yield _file(root, root.name)
        return
    yield from _below(root, "", ())


def _below(folder: epath.Path, prefix: str, above: tuple[str, ...]) -> Iterator[OwnFile]:
    real = os.path.realpath(folder) if "://" not in os.fspath(folder) else os.fspath(folder)
    if real in above:
        return  # A link to a folder above would be followed forever.
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if "dataset_dict.json" in names:  # of a Hugging Face DatasetDict: a folder for each split
        names.remove("dataset_dict.json")
    if {"state.json", "dataset_info.json"} <= {*names}:
        names = _saved_files(folder)
    for name in names:
        path = folder / name
        if path.is_dir():
            yield from _below(path, f"{prefix}{name}/", (*above, real))
        else:
            yield _file(path, prefix + name)


def _saved_files(folder: epath.Path) -> list[str]:
    """The Arrow files of a Hugging Face `Dataset.save_to_disk`, without its caches."""
    path = folder / "state.json"
    try:
        state = json.loads(path.read_text())
        names = [str(each["filename"]) for each in state["_data_files"]]
        is_subset = bool(state.get("_indices_data_files"))
    except (ValueError, KeyError, TypeError) as error:
        raise TransferError(
            f"{path} does not list the files of a saved data set ({error}); expected what "
            "Dataset.save_to_disk of Hugging Face writes: save the data set again."
        ) from error
    if is_subset:
        raise TransferError(
            f"The data set in {folder} was saved with indices beside its rows; expected the rows "
            "alone: call flatten_indices() and save it again."
        )
    return names


def _file(path: epath.Path, name: str) -> OwnFile:
    if "://" in os.fspath(path):
        found = path.stat()
        return OwnFile(name, path, found.length, found.mtime)
    status = os.stat(path)
    return OwnFile(name, path, status.st_size, status.st_mtime_ns)

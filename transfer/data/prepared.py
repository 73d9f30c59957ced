"""Data sets as TFDS prepares them: opened by name, prepared at need, read without TensorFlow."""

import contextlib
import io
import json
import os
from collections.abc import Callable
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from transfer.data.config import OWN_FILES
from transfer.data.fingerprint import combine_fingerprints
from transfer.errors import TransferError, nearest

CONTENT_LIMIT = 2**30  # bytes of a split up to which its fingerprint reads all of it


def open_prepared(
    name: str, data_dir: str, folder: epath.Path, *, kind: str, embedded: tuple[str, ...]
) -> tfds.core.DatasetBuilder:
    """Open the TFDS data set `name` of a `kind`, such as "text", for reading.

    A data set missing from a folder named by `data_dir` is an error, and nothing is written there;
    missing from the default folder, it is downloaded into it. `embedded` are the names that need no
    download.
    Raises `TransferError` when it is unknown, not prepared, or cannot be downloaded.
    """
    builder = find_builder(name, folder, kind, embedded)
    if builder.data_path.exists():
        return builder
    command = f"tfds build {name} --file_format=array_record --data_dir={folder}"
    if data_dir:
        raise TransferError(
            f"The data set {name} is not prepared in {folder}; run `{command}` or correct "
            "data.data_dir."
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # a download fails in as many ways as there are data sets
        # Of two processes that prepare at once, the second cannot rename over the first.
        if not builder.data_path.exists():
            raise TransferError(
                f"The data set {name} could not be downloaded and prepared "
                f"({first_line(error)}); run `{command}` on a machine that can, or use "
                f'data.name="{embedded[0]}", which needs no download.'
            ) from error
    return find_builder(name, folder, kind, embedded)


def prepare_embedded(
    name: str, make: Callable[[], tfds.core.DatasetBuilder], folder: epath.Path
) -> tfds.core.DatasetBuilder:
    """Open a data set that needs no download, prepared at first use.

    `make` returns a builder that prepares it somewhere in `folder`. Raises `TransferError` when the
    folder cannot be written.
    """
    builder = make()
    if not builder.data_path.exists():
        try:
            # Hide TFDS's announcements and progress bars, because nothing is downloaded.
            chatter = io.StringIO()
            with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
                builder.download_and_prepare()
        except OSError as error:
            # Of two processes that prepare at once, the second cannot rename over the first.
            if not builder.data_path.exists():
                raise TransferError(
                    f"The data set {name} could not be prepared in {folder} "
                    f"({error.strerror or error}); set data.data_dir or $TRANSFER_DATA_DIR to a "
                    "folder with space and write permission."
                ) from error
        builder = make()
    return builder


def split_info(builder: tfds.core.DatasetBuilder, split: str) -> Any:
    """Return what TFDS knows of a split; raises `TransferError` when there is none, or it is empty.

    `split` is in TFDS's syntax, such as "train[:1%]".
    """
    splits = builder.info.splits
    try:
        info = splits[split]
    except (ValueError, KeyError, AssertionError) as error:
        raise TransferError(
            f'The data set {builder.name} has no split "{split}"; expected TFDS split '
            f'syntax such as "train[:1%]" over: {", ".join(splits)}.'
        ) from error
    if not info.num_examples:
        raise TransferError(f'The split "{split}" of {builder.name} selects no examples; widen it.')
    return info


def is_large(builder: tfds.core.DatasetBuilder, split: str) -> bool:
    """Return whether a split is of 1 GiB or more, so that reading it at every start takes too long.

    The size is estimated from the data set's mean example, because TFDS keeps none for a part of a
    split.
    """
    splits = builder.info.splits.values()
    mean_bytes = sum(s.num_bytes for s in splits) / sum(s.num_examples for s in splits)
    return bool(mean_bytes * split_info(builder, split).num_examples >= CONTENT_LIMIT)


def recorded_fingerprint(builder: tfds.core.DatasetBuilder, feature: str, split: str) -> str:
    """Return a sha256 hex digest of what TFDS recorded of a feature and a split.

    It covers name, version, examples, shard lengths and bytes, and reads no example.
    """
    splits = builder.info.splits.values()
    recorded = [[s.name, s.num_examples, s.shard_lengths, int(s.num_bytes)] for s in splits]
    return combine_fingerprints(builder.info.full_name, feature, split, json.dumps(recorded))


def cannot_be_read(
    builder: tfds.core.DatasetBuilder, split: str, error: Exception
) -> TransferError:
    """Return the one error for the many kinds that TFDS raises for files it cannot read."""
    return TransferError(
        f'The split "{split}" in {builder.data_path} cannot be read ({first_line(error)}); '
        "expected whole array_record files: delete that folder and prepare the data set again."
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__


def find_builder(
    name: str, folder: epath.Path, kind: str, embedded: tuple[str, ...]
) -> tfds.core.DatasetBuilder:
    """Find a TFDS data set, prepared or not; raises `TransferError` when there is none."""
    try:
        return tfds.builder(name, file_format="array_record", data_dir=folder)
    except tfds.core.DatasetNotFoundError as error:
        known = [*embedded, *tfds.list_builders(with_community_datasets=False)]
        ours = ", ".join(f'"{each}"' for each in embedded)
        raise TransferError(
            f'The data set "{name}" is neither known to TFDS nor prepared in '
            f"{folder}{_path_of_own(name) or nearest(name, known)}; set data.name to {ours}, "
            f"{OWN_FILES}PATH for files of your own (docs/data.md), or a TFDS {kind} data set."
        ) from error
    except Exception as error:  # malformed names, builders that need missing packages, network
        raise TransferError(
            f'The data set "{name}" cannot be opened ({first_line(error)})'
            f"{_path_of_own(name)}; expected NAME, "
            f"NAME/CONFIG or NAME/CONFIG:VERSION of a {kind} data set in array_record format, or "
            f"{OWN_FILES}PATH for files of your own (docs/data.md)."
        ) from error


def _path_of_own(name: str) -> str:
    """What was meant by a name that is a path, as `nearest` says it."""
    path = os.path.expanduser(name)
    is_path = "\0" not in path and os.path.exists(path)
    return f' (did you mean "{OWN_FILES}{name}"?)' if is_path else ""

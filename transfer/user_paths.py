"""Paths as users write them: of a home, of a bucket, and what is none."""

import os
import re

from etils import epath

from transfer.errors import TransferError

_BUCKETS = ("gs", "s3", "az", "hf")
_BUCKET = re.compile(rf"({'|'.join(_BUCKETS)})://")
# What libraries below take for a URL, wherever in a path it is.
_ONE_SLASH = re.compile(rf"(^|/)({'|'.join(_BUCKETS)}):/")


def user_path(path: epath.PathLike, what: str) -> epath.Path:
    """Return the path that a user has written, with `~` and `~user` as their homes.

    Arguments:
      path: on a disk, or a URL of a bucket.
      what: the user's name for it, in messages.

    Raises `TransferError` for a path that no disk can hold, a home that no user has, and a URL that
    is none of a bucket.

    Example:
      >>> user_path("gs://bucket/data", "data folder")
      PosixGPath('gs://bucket/data')
    """
    text = os.fspath(path)
    if "\0" in text:
        raise TransferError(
            f"The {what} {text!r} has a zero byte in its path, which no disk can hold; expected "
            "another path."
        )
    on_disk = text if _BUCKET.match(text) is None else text.partition("://")[2]
    if "://" in on_disk or _ONE_SLASH.search(on_disk):
        known = ", ".join(f"{each}://" for each in _BUCKETS)
        raise TransferError(
            f"The {what} {text} is no URL of a bucket; expected one that begins with one of "
            f"{known}, or a path on a disk."
        )
    found = epath.Path(path).expanduser()
    if str(found).startswith("~"):
        raise TransferError(
            f"The {what} {text} begins with the home of a user that there is not; expected a path, "
            "an absolute one for a folder whose own name begins with ~."
        )
    return found

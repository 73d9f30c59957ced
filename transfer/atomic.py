"""Files that appear whole or not at all, on a disk or in a bucket."""

import contextlib
import io
import os
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from etils import epath

from transfer.errors import TransferError


@contextlib.contextmanager
def atomic_write(path: epath.PathLike) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing and rename it to `path` once the block has ended well.

    Two processes that write the same path at once both succeed; the later rename stays.
    Raises `TransferError` when the folder cannot be written.

    Example:
      >>> import tempfile
      >>> path = epath.Path(tempfile.mkdtemp()) / "example.bin"
      >>> with atomic_write(path) as file:
      ...     _ = file.write(b"whole")
      >>> path.read_bytes()
      b'whole'
    """
    target = epath.Path(path)
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            # A rename must not outlive the content in a power cut; a bucket has no such descriptor.
            with contextlib.suppress(AttributeError, io.UnsupportedOperation):
                os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise TransferError(
            f"{target} could not be written ({error.strerror or error}); expected a folder with "
            "space and write permission: choose another one."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)

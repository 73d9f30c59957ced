"""One writer at a time: the lock of a run directory, which no killed process leaves behind.

On a disk the lock is the operating system's (`flock`), which releases it when the process ends,
however it ends. A bucket has no such lock, and some shared disks have one for each host alone, so
the owner also counts on in the lock file: one whose count stands still for a while is dead. Readers
never look at the lock.
"""

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from etils import epath

from transfer.errors import TransferError

LOCK = ".lock"
# The owner counts on after so many seconds, and is dead if it has not within so many.
BEAT_SECONDS = 4.0
DEAD_SECONDS = 20.0
# Without a lock of the operating system, two that begin at once both write; the later one owns it.
_SECONDS_TO_SETTLE = 1.0

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive(folder: epath.Path) -> Iterator[None]:
    """Be the only process that writes into a run directory for the block.

    The folder is made where it is missing, and removed again if nothing was written into it. Where
    it cannot be written the block runs without a lock, and what it writes fails by itself.

    Raises:
      TransferError: another process, here or on another host, holds the folder.

    Example:
      >>> import tempfile
      >>> folder = epath.Path(tempfile.mkdtemp()) / "run"
      >>> with exclusive(folder):
      ...     [file.name for file in folder.iterdir()]
      ['.lock']
      >>> folder.exists()
      False
    """
    # A bucket has no folders to make or remove.
    parents = [] if _is_bucket(folder) else [folder, *folder.parents]
    made = [each for each in parents if not each.exists()]
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            held.callback(_remove_empty, made)
            _hold(folder, held)
        yield


def writer(folder: epath.Path) -> str | None:
    """Return which process writes into a run directory now, None where none does.

    A process that was killed less than 20 seconds ago may still be named.

    Example:
      >>> import tempfile
      >>> folder = epath.Path(tempfile.mkdtemp())
      >>> with exclusive(folder):
      ...     writer(folder) == f"process {os.getpid()} on {socket.gethostname()}"
      True
      >>> print(writer(folder))
      None
    """
    file = folder / LOCK
    owner = _read(file)
    if not owner:
        return None
    if owner.get("host") == socket.gethostname() and not _is_running(owner.get("pid")):
        return None
    try:
        silent = time.time() - file.stat().mtime
    except OSError:  # it has ended meanwhile
        return None
    return _name(owner) if silent < DEAD_SECONDS else None


def _hold(folder: epath.Path, held: contextlib.ExitStack) -> None:
    """Take the lock until `held` is left."""
    file, owner = folder / LOCK, _owner()
    descriptor = None
    if not _is_bucket(folder):
        try:
            descriptor = _flock(file)
        except BlockingIOError:
            raise _taken(folder, _read(file)) from None
    if descriptor is not None:
        held.callback(os.close, descriptor)
    if (other := _read(file)) and _lives(file, other, is_flocked=descriptor is not None):
        raise _taken(folder, other)
    file.write_text(json.dumps(owner))
    if descriptor is None:
        time.sleep(_SECONDS_TO_SETTLE)
        if (other := _read(file)) and other.get("token") != owner["token"]:
            raise _taken(folder, other)
    # Removed while it is still locked, otherwise it might be the lock of the next one.
    held.callback(_remove, file)
    ended = threading.Event()
    beating = threading.Thread(target=_count, args=(file, owner, ended), daemon=True)
    beating.start()
    held.callback(beating.join)
    held.callback(ended.set)


def _is_bucket(folder: epath.Path) -> bool:
    return "://" in str(folder)


def _flock(file: epath.Path) -> int | None:
    """Return a descriptor that holds the lock; None where the disk has no locks.

    Raises `BlockingIOError` when another process holds it.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The owner before may have removed the file since it was opened.
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:
            os.close(descriptor)
            return None
        os.close(descriptor)


def _lives(file: epath.Path, other: dict[str, Any], *, is_flocked: bool) -> bool:
    """Whether the owner that the file names is at work, though this process could take the lock."""
    if other.get("host") == socket.gethostname():
        return not is_flocked and _is_running(other.get("pid"))
    _log.warning(
        f"{file} names {_name(other)}; waiting up to {DEAD_SECONDS:g} s for a sign of life."
    )
    deadline = time.monotonic() + DEAD_SECONDS
    while time.monotonic() < deadline:
        time.sleep(BEAT_SECONDS / 4)
        found = _read(file)
        if found != other:
            return bool(found)
    return False


def _count(file: epath.Path, owner: dict[str, Any], ended: threading.Event) -> None:
    """Rewrite the file with a higher count every few seconds, as the sign of life of its owner."""
    while not ended.wait(BEAT_SECONDS):
        owner["count"] += 1
        with contextlib.suppress(Exception):  # whatever storage cannot do now, it may do later
            file.write_text(json.dumps(owner))


def _owner() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "token": uuid.uuid4().hex,
        "count": 0,
    }


def _read(file: epath.Path) -> dict[str, Any]:
    """What the file says of its owner; empty where there is none, or it is being written."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_running(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _taken(folder: epath.Path, other: dict[str, Any]) -> TransferError:
    return TransferError(
        f"The run directory {folder} is being written by {_name(other)}; expected one writer at a "
        "time: wait until it ends, or choose another --run."
    )


def _name(other: dict[str, Any]) -> str:
    return f"process {other['pid']} on {other['host']}" if other else "another process"


def _remove(file: epath.Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)


def _remove_empty(folders: list[epath.Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)

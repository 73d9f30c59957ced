"""Compiled programs on disk: what one process has compiled, later ones read."""

import contextlib
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import filelock
import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from transfer.distributed import exchange

_log = logging.getLogger(__name__)
# A folder, or `none`.
VARIABLE = "TRANSFER_COMPILATION_CACHE"
# A quickstart writes 5 MB. JAX looks at every entry before it writes one, which takes 0.1 s for the
# 4,000 programs of a CPU that fit.
_MAX_BYTES = 512 * 2**20
_SECONDS_TO_LOCK = 10.0
_SETTINGS = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
)


def default_folder() -> Path:
    """Return `transfer/compiled` in the user's cache folder.

    That is `XDG_CACHE_HOME` or `~/.cache`, and on macOS `~/Library/Caches`.
    """
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "transfer" / "compiled"
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = named if named.is_absolute() else Path.home() / ".cache"
    return base / "transfer" / "compiled"


@contextlib.contextmanager
def use_compilation_cache() -> Iterator[None]:
    """Inside, read compiled programs from the cache folder, and write there what is compiled.

    The folder is that of the environment variable `TRANSFER_COMPILATION_CACHE`, by default
    `default_folder`; `none` switches the cache off. It is held below 512 MiB by removing the
    programs that were not used for the longest time, and several processes may share it. The key of
    a program holds jaxlib's version, XLA's flags and the processor's instructions, so a folder may
    be shared by different machines.

    Where JAX has a cache folder already, or its cache is disabled, nothing is changed. A folder
    that cannot be used is said in a warning. The processes of a job use the cache where all of them
    see the same folder, because the first process writes for all.

    Example:
      >>> with use_compilation_cache():
      ...     jax.jit(lambda x: x + 1)(1)
      Array(2, dtype=int32, weak_type=True)
    """
    before = {name: getattr(jax.config, name) for name in _SETTINGS}
    is_set = before["jax_compilation_cache_dir"] is not None
    folder = None if is_set or not before["jax_enable_compilation_cache"] else _folder()
    if jax.process_count() > 1:
        folder = _seen_by_all(folder)
    if folder is None:
        yield
        return
    _configure(
        {
            "jax_compilation_cache_dir": str(folder),
            "jax_compilation_cache_max_size": _MAX_BYTES,
            # A second run should compile nothing at all.
            "jax_persistent_cache_min_compile_time_secs": 0.0,
        }
    )
    try:
        yield
    finally:
        _configure(before)


def _configure(settings: dict[str, object]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX would go on with the folder that it has opened.
    reset_cache()


def _folder() -> Path | None:
    """The folder, once it is known to be usable by this process; None for no cache."""
    named = os.environ.get(VARIABLE, "")
    if named == "none":
        return None
    try:
        folder = Path(named).expanduser().absolute() if named else default_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What is read from the folder is run.
        if hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
        _remove_partial(folder)
    except (OSError, RuntimeError, NotImplementedError) as error:
        _log.warning(
            f"Compiled programs are not kept for later runs ({str(error).rstrip('.')}); "
            f"{VARIABLE}=FOLDER names another folder, and {VARIABLE}=none none."
        )
        return None
    return folder


def _remove_partial(folder: Path) -> None:
    """Remove what a process that was killed has left half written.

    JAX writes a program and then, still holding the lock, the time when it was used. It never
    writes an entry again that is there, so a partial one would be read in vain by every later run.
    """
    # The lock that JAX takes too; to take it says whether the folder can be written.
    with filelock.FileLock(folder / ".lockfile", timeout=_SECONDS_TO_LOCK):
        for program in folder.glob("*-cache"):
            if not program.with_name(program.name.removesuffix("cache") + "atime").exists():
                program.unlink()


def _seen_by_all(folder: Path | None) -> Path | None:
    """The folder if it is the same for all processes, by a file that the first one puts there."""
    name = exchange.broadcast_one_to_all(uuid.uuid4().hex.encode()).decode()
    mark = folder / f".{name}" if folder else None
    if mark and exchange.is_first():
        with contextlib.suppress(OSError):
            mark.touch()
    exchange.barrier()
    (missing,) = exchange.allgather_max(float(mark is None or not mark.exists()))
    if mark and exchange.is_first():
        mark.unlink(missing_ok=True)
    return None if missing else folder

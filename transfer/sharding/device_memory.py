"""How many bytes a device has, and how many of them a program may still take."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

# What a prediction may take of the memory that is free: the prediction can be 15 % too low, and
# other processes of a machine take memory later too.
SHARE = 0.85
GIB = 2.0**30


def device_memory(device: Any) -> float:
    """Return the bytes of a device, the same in every process.

    They are infinite where the device does not say, as CPUs and described devices do not.
    """
    limit = _statistics(device).get("bytes_limit", math.inf)
    # All processes have to come to the same mesh, whatever a few of their bytes are used for.
    return limit if math.isinf(limit) else GIB * round(limit / GIB)


def free_memory(device: Any) -> float:
    """Return the bytes of a device that nothing takes yet, as this process sees them.

    CPU devices share the memory of their machine. Infinite where neither device nor machine says.
    """
    statistics = _statistics(device)
    if "bytes_limit" in statistics:
        return float(statistics["bytes_limit"] - statistics.get("bytes_in_use", 0))
    if getattr(device, "platform", "") == "cpu" and isinstance(device, jax.Device):
        return host_memory() / jax.local_device_count()
    return math.inf


def host_memory(root: Path = Path("/")) -> float:
    """Return the bytes that this process can still take of its machine or container.

    That is what Linux calls available, at most what the limits of its control groups leave (both
    versions); on other systems the physical memory, and infinite where even that is unknown.

    Arguments:
      root: of the file system.
    """
    available = _meminfo(root, "MemAvailable")
    if available is None:
        return machine_memory(root)
    return min([available, *(max(0.0, limit - used) for limit, used in _limits(root))])


def machine_memory(root: Path = Path("/")) -> float:
    """Return the bytes of the machine or container, whatever takes them, as `host_memory` does."""
    total = _meminfo(root, "MemTotal")
    if total is None:
        return _physical_memory()
    return min([total, *(limit for limit, _ in _limits(root))])


def _statistics(device: Any) -> dict[str, int]:
    if jax.process_count() > 1 and device in jax.devices():
        device = jax.local_devices()[0]  # the only ones that can be asked, and of the same kind
    return (device.memory_stats() if hasattr(device, "memory_stats") else None) or {}


def _limits(root: Path) -> Iterator[tuple[float, float]]:
    """The limit of each control group of this process, and what is taken of it."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
            names = "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup/memory"]
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # A limit on a parent holds for all below it. Inside a container the path may be that of the
        # host, so that of all folders only the mount itself is there.
        inner = Path(path.lstrip("/"))
        for mount in mounts:
            for folder in {mount / inner, *(mount / parent for parent in inner.parents)}:
                yield from _limit(folder, *names)


def _limit(folder: Path, limit: str, usage: str, cache: str) -> Iterator[tuple[float, float]]:
    most, used = _read(folder / limit).strip(), _read(folder / usage).strip()
    if most.isdigit() and used.isdigit():  # else "max", or there is no such group
        entries = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
        # The system drops what it has cached of files when memory gets short.
        yield float(most), float(used) - float(entries.get(cache, 0))


def _meminfo(root: Path, name: str) -> float | None:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return 1024.0 * float(line.split()[1])
    return None


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return math.inf


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""

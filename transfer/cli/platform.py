"""Settle JAX's platform before JAX is used."""

import importlib.util
import os
import sys
from pathlib import Path

from transfer.distributed import job

MAX_CPU_DEVICES = 8


def prepare(platforms: str = "", compilation_cache: str | None = None) -> None:
    """Keep JAX from probing for hardware that is not there, and give each CPU core a device.

    An installed libtpu makes JAX look for a TPU and complain at length when there is none. On a CPU
    the trials of a population are spread over the devices, so one per core keeps all cores busy;
    small models leave them idle otherwise. `JAX_PLATFORMS` and `JAX_NUM_CPU_DEVICES`, where the
    user sets them, are left alone. JAX may be imported already, but not asked for its devices.
    Given `platforms`, JAX uses those, whatever there is and whatever is set. `compilation_cache` is
    what the flag says: a folder, `none`, or nothing.
    """
    tpu = job.has_tpu()
    gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    if platforms:
        _settle("JAX_PLATFORMS", platforms)
    elif "JAX_PLATFORMS" not in os.environ and not tpu and importlib.util.find_spec("libtpu"):
        _settle("JAX_PLATFORMS", "cuda,cpu" if gpu else "cpu")
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        _settle("JAX_NUM_CPU_DEVICES", min(job.cores(), MAX_CPU_DEVICES))

    if compilation_cache:
        if compilation_cache != "none":
            # A worker of a cluster starts in another folder.
            compilation_cache = os.path.abspath(os.path.expanduser(compilation_cache))
        os.environ["TRANSFER_COMPILATION_CACHE"] = compilation_cache


def _settle(name: str, value: str | int) -> None:
    os.environ[name] = str(value)
    # The environment is read when JAX is imported, which reading a configuration does.
    if jax := sys.modules.get("jax"):
        jax.config.update(name.lower(), value)

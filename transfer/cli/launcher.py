"""Where a sweep runs: in this process, or spread over a cluster by Ray."""

import importlib.util
import typing

from absl import flags as absl_flags

from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.sweeps.ray import RayLauncher

_COUNTS = {
    "processes": "processes that train a group together (default: 1)",
    "cpus": "CPU cores of each process (default: one for each trial, as far as a machine has them)",
    "gpus": "GPUs of each process (default: 1 where there are any)",
}


def define(values: absl_flags.FlagValues) -> None:
    """Define the flags."""
    absl_flags.DEFINE_enum(
        "launcher", "local", ("local", "ray"), "where groups run", flag_values=values
    )
    absl_flags.DEFINE_string(
        "address",
        "",
        "of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT (default: start one here)",
        flag_values=values,
    )
    for name, text in _COUNTS.items():
        absl_flags.DEFINE_integer(name, 0, f"with ray, {text}", flag_values=values)
    absl_flags.DEFINE_list(
        "slices",
        [],
        "with ray, TPU slices such as v6e:2x2,v6e:4x4, of which a group gets the smallest that "
        "holds it",
        flag_values=values,
    )


def read(values: absl_flags.FlagValues) -> "RayLauncher | None":
    """Return what runs groups on the cluster that the flags describe, None for this process.

    Raises `TransferError` when Ray is not installed, and for flags of a cluster without one.
    """
    named = [name for name in ("address", *_COUNTS, "slices") if values[name].present]
    if values["launcher"].value == "local":
        if named:
            raise TransferError(
                f"--{named[0]} is about a cluster; expected --launcher=ray beside it."
            )
        return None
    require_ray()
    # The workers take the accelerators of this machine, which serve one process at a time.
    import jax

    jax.config.update("jax_platforms", "cpu")
    from transfer.sweeps.ray import RayLauncher, ResourceRequest

    counts = {name: int(values[name].value or 0) for name in _COUNTS}
    request = ResourceRequest(slices=tuple(values["slices"].value or ()), **counts)
    return RayLauncher(request, str(values["address"].value or ""))


def require_ray() -> None:
    """Raise `TransferError` when Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise TransferError(
            "--launcher=ray needs Ray, which is not installed; expected it from "
            "pip install 'width-transfer[ray]', or --launcher=local."
        )

"""The job that this process belongs to: told by the environment, joined, and lost."""

import contextlib
import os
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from transfer.distributed import timeouts
from transfer.errors import TransferError
from transfer.termination import TerminatedError

# How long the first process waits for the last to start.
_SECONDS_TO_START = 300
_METADATA_SECONDS = 5
_joined = False
_index = 0


class AloneError(TransferError):
    """Says that the other processes of a job never started."""


def joined() -> bool:
    """Return whether this process has joined others."""
    return _joined


def is_first_or_alone() -> bool:
    """Return whether this process is the first of those that it has joined, or alone.

    Unlike `exchange.is_first` it asks JAX nothing, so it holds when the job is lost.
    """
    return _index == 0


def described(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the environment describes a job of several processes, of which this is one.

    That is so where `JAX_COORDINATOR_ADDRESS` is set (with `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`
    where nothing else says them), in a step of several tasks under Slurm or Open MPI, in an indexed
    job of Kubernetes, and on a TPU slice of several hosts.

    Example:
      >>> described({"SLURM_STEP_NUM_TASKS": "8"}), described({})
      (True, False)
    """
    several = any(
        int(environment.get(name) or 1) > 1
        for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "MEGASCALE_NUM_SLICES")
    )
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES")
    return (
        several
        or "JAX_COORDINATOR_ADDRESS" in environment
        or "," in (hosts or "")
        or ("KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment)
        or tpu_hosts() > 1
    )


@contextlib.contextmanager
def join(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None
) -> Iterator[None]:
    """Make JAX see the devices of all processes in the block; leaving it waits for all of them.

    Arguments that are not given are read from the environment, as `jax.distributed.initialize`
    does. The block has to be entered before JAX is used. A process that leaves it by an error
    should end, because the others then notice that it is gone.

    Raises `TransferError` when the processes do not find each other, and `AloneError` when some
    never started.
    """
    global _joined, _index
    import jax

    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _given("JAX_NUM_PROCESSES") if processes is None else processes
    index = _given("JAX_PROCESS_ID") if index is None else index
    # JAX's preemption service would catch SIGTERM, which `transfer.termination` handles.
    jax.config.update("jax_enable_preemption_service", False)
    # A process whose place in the job is given needs no detection, and drives all devices it sees.
    detection = None if None in (coordinator, processes, index) else "deactivate"
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            index,
            cluster_detection_method=detection,
            initialization_timeout=_SECONDS_TO_START,
            heartbeat_timeout_seconds=int(timeouts.heartbeat_seconds()),
            shutdown_timeout_seconds=int(timeouts.heartbeat_seconds()),
        )
    except (jax.errors.JaxRuntimeError, ValueError, RuntimeError) as error:
        timed_out = isinstance(error, jax.errors.JaxRuntimeError)
        raise (AloneError if timed_out else TransferError)(
            f"The processes of this job did not find each other ({_first_line(error)}); expected "
            "all of them to start within "
            f"{_SECONDS_TO_START} s, and a cluster that JAX knows or JAX_COORDINATOR_ADDRESS, "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID in the environment."
        ) from error
    _joined, _index = True, jax.process_index()
    try:
        yield
    except TerminatedError:
        jax.distributed.shutdown()
        _joined = False
        raise
    jax.distributed.shutdown()
    _joined = False


def lost_process(error: BaseException) -> str:
    """Return a sentence if an error means that another process is gone, otherwise nothing.

    Example:
      >>> lost_process(ValueError("INVALID_ARGUMENT: shapes"))
      ''
    """
    import jax

    text = str(error)
    # Storage errors say UNAVAILABLE too, and a full device fails inside a collective; neither means
    # that another process is gone.
    if not isinstance(error, jax.errors.JaxRuntimeError) or "RESOURCE_EXHAUSTED" in text:
        return ""
    signs = ("Gloo", "NCCL", "Connection closed", "UNAVAILABLE", "ABORTED", "Socket closed")
    if not any(sign in text for sign in (*signs, "heartbeat", "DEADLINE_EXCEEDED: Barrier")):
        return ""
    return (
        f"another process of the job is gone ({_first_line(error)}); the same command, for all, "
        "goes on from the last checkpoint."
    )


def cores() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_tpu() -> bool:
    """Whether TPU chips are attached to this machine."""
    return any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))


def tpu_hosts() -> int:
    """Return how many machines share the TPU slice of this one; 1 if nothing says so.

    On a Cloud TPU VM the metadata server says it, which `jax.distributed.initialize` asks as well.
    """
    if not has_tpu() or "TPU_SKIP_MDS_QUERY" in os.environ:
        return 1
    server = os.environ.get("GCE_METADATA_IP", "metadata.google.internal")
    request = urllib.request.Request(
        f"http://{server}/computeMetadata/v1/instance/attributes/worker-network-endpoints",
        headers={"Metadata-Flavor": "Google"},
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(request, timeout=_METADATA_SECONDS) as answer:
            return len(answer.read().decode().split(","))
    except OSError:
        return 1


def _given(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise TransferError(f'{name} is "{text}"; expected a whole number.')
    return int(text)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:200]

"""Joining the processes of a job, which the environment describes, into one."""

import contextlib
import os
from collections.abc import Iterator, Mapping

from transfer.distributed import timeouts, tpu_vm
from transfer.errors import TransferError
from transfer.termination import TerminatedError

# How long the first process waits for the last to come.
_SECONDS_TO_COME = 300
_joined = False
_index = 0


class AloneError(TransferError):
    """Says that the others of a job never came."""


def joined() -> bool:
    """Whether this process is one of several that work as one."""
    return _joined


def speaks() -> bool:
    """Whether this process is alone, or the first of those that it has joined."""
    return _index == 0


def described(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment describes a job of several processes, of which this is one.

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
        or tpu_vm.hosts() > 1
    )


@contextlib.contextmanager
def join(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None
) -> Iterator[None]:
    """Inside, JAX sees the devices of all processes; leaving it waits for all of them.

    What is not given is read from the environment, as `jax.distributed.initialize` does. Has to be
    entered before JAX is used. Where it is left by an error, the process should end: the others
    notice that it is gone.

    Raises `TransferError` when the processes do not find each other, `AloneError` where some never
    came.
    """
    global _joined, _index
    import jax

    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _given("JAX_NUM_PROCESSES") if processes is None else processes
    index = _given("JAX_PROCESS_ID") if index is None else index
    # It would take SIGTERM, which is listened to here, and then say only at which step to save.
    jax.config.update("jax_enable_preemption_service", False)
    # What it would look up: a process that is told everything drives all devices it sees.
    detection = None if None in (coordinator, processes, index) else "deactivate"
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            index,
            cluster_detection_method=detection,
            initialization_timeout=_SECONDS_TO_COME,
            heartbeat_timeout_seconds=int(timeouts.silent()),
            shutdown_timeout_seconds=int(timeouts.silent()),
        )
    except (jax.errors.JaxRuntimeError, ValueError, RuntimeError) as error:
        timed_out = isinstance(error, jax.errors.JaxRuntimeError)
        raise (AloneError if timed_out else TransferError)(
            f"The processes of this job did not find each other ({_first_line(error)}); expected "
            "all of them to start within "
            f"{_SECONDS_TO_COME} s, and a cluster that JAX knows or JAX_COORDINATOR_ADDRESS, "
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


def loss(error: BaseException) -> str:
    """Say in a sentence that another process is gone, if that is what an error is about.

    Example:
      >>> loss(ValueError("INVALID_ARGUMENT: shapes"))
      ''
    """
    import jax

    text = str(error)
    # Storage too is unavailable at times, and a device that is full says so in the midst of a
    # collective: that is this process's own affair.
    if not isinstance(error, jax.errors.JaxRuntimeError) or "RESOURCE_EXHAUSTED" in text:
        return ""
    signs = ("Gloo", "NCCL", "Connection closed", "UNAVAILABLE", "ABORTED", "Socket closed")
    if not any(sign in text for sign in (*signs, "heartbeat", "DEADLINE_EXCEEDED: Barrier")):
        return ""
    return (
        f"another process of the job is gone ({_first_line(error)}); the same command, for all, "
        "goes on from the last checkpoint."
    )


def _given(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise TransferError(f'{name} is "{text}"; expected a whole number.')
    return int(text)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:200]

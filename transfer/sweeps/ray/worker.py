"""One process of a group's, on whatever machine it was given."""

import dataclasses
import math
import os
import socket
from contextlib import nullcontext

import jax
import ray

from transfer.data import DataConfig, ImageConfig, check_fingerprint, load_dataset
from transfer.distributed import exchange, job
from transfer.run_directory import RunDirectory
from transfer.sharding.device_memory import GIB, SHARE, machine_memory
from transfer.sweeps.ray.resources import Resources
from transfer.sweeps.runner import train_group
from transfer.sweeps.tables import GroupTables
from transfer.training import TrialGroup
from transfer.training.compilation_cache import VARIABLE, use_compilation_cache


class Worker:
    """Trains its part of a group, and says meanwhile how far it is."""

    def __init__(self) -> None:
        self._fraction: float | None = None
        self._loss = math.nan

    def coordinator(self) -> str:
        """Return an address on this machine at which the processes of the group can meet."""
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        return f"{ray.util.get_node_ip_address()}:{port}"

    def progress(self) -> tuple[float | None, float]:
        """Return the fraction done, None while programs are compiled, and the loss."""
        return self._fraction, self._loss

    def train(
        self,
        data: DataConfig | ImageConfig,
        run: str,
        group: TrialGroup,
        fingerprint: str,
        coordinator: str,
        processes: int,
        rank: int,
    ) -> GroupTables | None:
        """Train the group together with the other processes; the first returns its rows.

        `data` are those of the group and `run` its directory, by paths that hold here.
        """
        alone = processes == 1
        with nullcontext() if alone else job.join(coordinator, processes, rank):
            # Every machine prepares its own.
            dataset = load_dataset(data)
            check_fingerprint(fingerprint, dataset.fingerprint, f"{run}/config.json")
            exchange.barrier()  # which may have taken one of them longer
            with use_compilation_cache():
                rows = train_group(
                    RunDirectory(run),
                    dataset,
                    with_memory_of_cores(group),
                    self._tell,
                    compiled=self._begin,
                )
        return rows if rank == 0 else None

    def _begin(self, fraction: float) -> None:
        self._fraction = fraction

    def _tell(self, fraction: float, loss: float) -> None:
        self._fraction, self._loss = fraction, loss


def with_memory_of_cores(group: TrialGroup) -> TrialGroup:
    """Give each CPU device of a group a core's share of memory, unless its mesh says how much.

    Other groups train on the other cores of the machine, some of which begin later.
    """
    if group.mesh.memory or jax.default_backend() != "cpu":
        return group
    cores = max(os.cpu_count() or 1, jax.local_device_count())
    memory = SHARE * machine_memory() / cores / GIB
    if math.isinf(memory):
        return group
    return dataclasses.replace(group, mesh=dataclasses.replace(group.mesh, memory=memory))


def environment(resources: Resources) -> dict[str, str]:
    """Return what a process must find in its environment before JAX starts.

    On CPUs every core is a device, for the trials to be spread over. Where compiled programs are
    kept follows this process if that was chosen here; otherwise each machine has its own folder.
    """
    chosen = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    if resources.gpus or resources.slice:
        return chosen
    return chosen | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(resources.cpus)}

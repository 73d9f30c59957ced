"""Run groups side by side on a cluster, each again if it loses a worker."""

import dataclasses
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import jax
import ray
from ray.exceptions import RayError, RayTaskError

from transfer.data import Dataset, ImageDataset
from transfer.errors import TransferError
from transfer.run_directory import RunDirectory
from transfer.sweeps.parts import begun_parts, parts_after, reason
from transfer.sweeps.ray.connection import connected
from transfer.sweeps.ray.remote_paths import absolute, with_absolute_paths
from transfer.sweeps.ray.reservation import Reservation
from transfer.sweeps.ray.resources import ResourceRequest, resources_for
from transfer.sweeps.ray.worker import Worker, environment
from transfer.sweeps.reporter import Reporter
from transfer.sweeps.runner import add_group, failure, remove_checkpoints, unfinished, work
from transfer.sweeps.tables import GroupTables
from transfer.training import TrialGroup

# A group that loses its workers this often is what kills them.
MOST_LOSSES = 3
_SECONDS_BETWEEN_LOOKS = 0.5
# A peer whose neighbor has died says so itself, sometimes before Ray has noticed the death.
_SECONDS_TO_DIE = 10.0


@dataclasses.dataclass(frozen=True)
class RayLauncher:
    """Trains groups side by side on a Ray cluster, for `run_sweep`.

    Arguments:
      request: what each group is given of the cluster.
      address: of a running cluster, or empty to start one on this machine; see `connected`.
    """

    request: ResourceRequest
    address: str = ""
    here: ClassVar[bool] = False

    def session(self) -> AbstractContextManager[None]:
        """Keep the connection from one launch to the next."""
        return connected(self.address)

    def launch(
        self,
        run: RunDirectory,
        dataset: Dataset | ImageDataset,
        groups: Sequence[TrialGroup],
        reporter: Reporter,
    ) -> list[str]:
        """See `run_on_cluster`."""
        with connected(self.address):
            return run_on_cluster(run, dataset.fingerprint, groups, reporter, request=self.request)


class LostError(Exception):
    """A process of a group is gone."""


@dataclasses.dataclass
class GroupTask:
    """A group on its way: from a reservation over its workers to its rows."""

    group: TrialGroup
    reservation: Reservation
    workers: list[Any] = dataclasses.field(default_factory=list)
    results: list[Any] = dataclasses.field(default_factory=list)
    progress: Any = None
    compiled: bool = False

    def start(self, run: RunDirectory, fingerprint: str) -> None:
        """Start the workers, each in its place; raises `LostError` if one does not come up."""
        processes = self.reservation.processes
        variables = {"env_vars": environment(self.reservation.resources)}
        remote: Any = ray.remote(Worker)
        self.workers = [
            remote.options(
                **self.reservation.options(rank),
                runtime_env=variables,
                max_concurrency=2,  # a thread to train, another to say how far it is
            ).remote()
            for rank in range(processes)
        ]
        try:
            coordinator = ray.get(self.workers[0].coordinator.remote())
        except RayError as error:
            raise LostError from error
        # Beside the data's own paths, by which trials are named, those that hold anywhere.
        what = with_absolute_paths(self.group.data), absolute(str(run)), self.group
        self.results = [
            worker.train.remote(*what, fingerprint, coordinator, processes, rank)
            for rank, worker in enumerate(self.workers)
        ]

    def rows(self) -> GroupTables | None:
        """Return the rows once all processes have ended, None before.

        Raises `LostError` when one of them is gone, and what the training itself raised.
        """
        done, waiting = ray.wait(self.results, num_returns=len(self.results), timeout=0)
        try:
            found = ray.get(done)
        except RayTaskError as error:
            if self._lost_one():
                raise LostError from error
            raise error.cause from error
        except RayError as error:
            raise LostError from error
        return None if waiting else found[0]

    def step(self) -> tuple[float | None, float] | None:
        """Return what a worker says of its progress, if it was heard since the last time."""
        if self.progress is None:
            self.progress = self.workers[0].progress.remote()
        done, _ = ray.wait([self.progress], timeout=0)
        if not done:
            return None
        self.progress = None
        try:
            return ray.get(done[0])
        except RayError:
            return None  # `rows` finds out

    def end(self) -> None:
        """Give back what is held, whether the workers are done or not."""
        for worker in self.workers:
            ray.kill(worker)
        self.reservation.release()

    def _lost_one(self) -> bool:
        deadline = time.monotonic() + _SECONDS_TO_DIE
        while time.monotonic() < deadline:
            for worker in self.workers:
                try:
                    ray.get(worker.progress.remote(), timeout=1.0)
                except RayError:
                    return True
            if len(self.workers) == 1:
                return False
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return False


def run_on_cluster(
    run: RunDirectory,
    fingerprint: str,
    groups: Sequence[TrialGroup],
    reporter: Reporter,
    *,
    request: ResourceRequest,
) -> list[str]:
    """Train what is missing of the groups, as many at once as the cluster has room for.

    Returns a sentence for each group that failed, like `run_groups`. A group that loses a worker
    runs again from its last checkpoint, which its run directory holds: on several machines that has
    to be a bucket or a shared disk. Large groups begin first, since the last to end decides.
    """
    begun = [part for group in unfinished(run, groups) for part in begun_parts(run, group)]
    missing = sorted(begun, key=lambda group: -work(group))
    nodes = [node["Labels"] | node["Resources"] for node in ray.nodes() if node["Alive"]]
    resources = {group: resources_for(group, request, nodes) for group in missing}
    for group, part in resources.items():
        if not part.fits(nodes):
            reporter.wait(group, part.description)
    tasks = [GroupTask(group, Reservation(resources[group])) for group in missing]
    losses = dict.fromkeys(missing, 0)
    failures = []
    try:
        while tasks:
            refused = set()
            for task in list(tasks):
                # To ask for a slice takes a second, which those that run must not wait for.
                if task.reservation.resources in refused and not task.reservation.asked:
                    continue
                try:
                    rows = _look(task, run, fingerprint, reporter)
                except LostError:
                    tasks.remove(task)
                    task.end()
                    losses[task.group] += 1
                    if losses[task.group] < MOST_LOSSES:
                        reporter.lose(task.group)
                        tasks.append(GroupTask(task.group, Reservation(resources[task.group])))
                    else:
                        failures.append(
                            failure(task.group, f"it lost its workers {MOST_LOSSES} times")
                        )
                except (TransferError, jax.errors.JaxRuntimeError) as error:
                    tasks.remove(task)
                    task.end()
                    if parts := parts_after(task.group, error):
                        # They may train side by side; each is given what the group was.
                        reporter.split(task.group, parts, reason(error))
                        remove_checkpoints(run, [task.group])
                        losses |= dict.fromkeys(parts, 0)
                        resources |= dict.fromkeys(parts, resources[task.group])
                        tasks += [GroupTask(part, Reservation(resources[part])) for part in parts]
                    else:
                        failures.append(failure(task.group, str(error)))
                else:
                    if not task.reservation.asked:
                        refused.add(task.reservation.resources)
                    if rows is not None:
                        tasks.remove(task)
                        task.end()
                        add_group(run, task.group, rows)
                        reporter.finish(task.group, rows.trials)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for task in tasks:
            task.end()
    return failures


def _look(
    task: GroupTask,
    run: RunDirectory,
    fingerprint: str,
    reporter: Reporter,
) -> GroupTables | None:
    """Move a task on if it can move, and tell how far it is; returns its rows at the end."""
    if not task.workers:
        if task.reservation.ready():
            task.start(run, fingerprint)
            reporter.start(task.group, work(task.group))
        return None
    fraction, loss = task.step() or (None, 0.0)
    if fraction is not None and not task.compiled:
        task.compiled = True
        reporter.compiled(task.group, fraction)
    if fraction and math.isfinite(loss):
        reporter.step(task.group, fraction, loss)
    return task.rows()

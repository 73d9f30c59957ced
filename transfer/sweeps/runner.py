"""Run groups on this machine, adding each to the run directory as it ends."""

import collections
import dataclasses
import functools
import json
import typing
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Protocol

import jax
from etils import epath

from transfer.data import Dataset, ImageDataset
from transfer.distributed import exchange, job
from transfer.models import parameter_count
from transfer.run_directory import RunDirectory
from transfer.sweeps.parts import (
    begun_parts,
    begun_sizes,
    lacks_memory,
    parts_after,
    reason,
    without_parts_like,
)
from transfer.sweeps.reporter import Reporter
from transfer.sweeps.tables import GroupTables, learning_rates, tables
from transfer.termination import TerminatedError
from transfer.training import Checkpoints, DoesNotFitError, Progress, TrialGroup, train
from transfer.training.compilation_cache import use_compilation_cache
from transfer.training.kept_programs import KeptPrograms

if typing.TYPE_CHECKING:
    from transfer.training.events import Events


class Launcher(Protocol):
    """Where groups are trained: in this process, or on a cluster.

    Fields:
      here: whether on the devices that this process sees.
    """

    @property
    def here(self) -> bool:
        """Whether on the devices that this process sees."""

    def session(self) -> AbstractContextManager[None]:
        """Keep what several launches need, such as a connection to a cluster."""

    def launch(
        self,
        run: RunDirectory,
        dataset: Dataset | ImageDataset,
        groups: Sequence[TrialGroup],
        reporter: Reporter,
    ) -> list[str]:
        """Train what is missing of the groups; returns a sentence for each group that failed."""


@dataclasses.dataclass(frozen=True)
class LocalLauncher:
    """Trains groups one after another in this process, or in all processes of its job.

    Arguments:
      asked_to_stop: is asked before each group and while it trains; see `run_groups`.
      checkpoint_folder: where the checkpoints of a single group stay.
      programs: are kept from one launch to the next.
    """

    asked_to_stop: Callable[[], bool] = lambda: False
    checkpoint_folder: epath.Path | None = None
    programs: KeptPrograms = dataclasses.field(default_factory=KeptPrograms, compare=False)
    here: ClassVar[bool] = True

    def session(self) -> AbstractContextManager[None]:
        """Nothing is needed beside `programs`."""
        return nullcontext()

    def launch(
        self,
        run: RunDirectory,
        dataset: Dataset | ImageDataset,
        groups: Sequence[TrialGroup],
        reporter: Reporter,
    ) -> list[str]:
        """See `run_groups`."""
        return run_groups(
            run,
            dataset,
            groups,
            reporter,
            checkpoint_folder=self.checkpoint_folder,
            asked_to_stop=self.asked_to_stop,
            programs=self.programs,
        )


def unfinished(run: RunDirectory, groups: Sequence[TrialGroup]) -> list[TrialGroup]:
    """Return what is missing of the groups in the run directory: fewer groups, or smaller ones."""
    exchange.barrier()
    # The first process wrote them, and what it sees is what all go by.
    names = [trial.trial for trial in run.trials()] if exchange.is_first() else []
    done = set(json.loads(exchange.broadcast_one_to_all(json.dumps(names).encode())))
    missing = []
    for group in groups:
        trials = tuple(trial for trial in group.trials if group.trial_name(trial) not in done)
        if trials:
            missing.append(dataclasses.replace(group, trials=trials))
    return missing


def remove_orphans(run: RunDirectory, groups: Sequence[TrialGroup]) -> None:
    """Remove checkpoints of a sweep, given all of its groups, that no missing group resumes from.

    A sweep that has grown trains groups of other names at its widths, and a kill after a group is
    in the tables may leave its checkpoints. Those of other widths, such as a target's, stay.
    """
    missing = unfinished(run, groups)
    if exchange.is_first() and run.checkpoints.exists():
        kinds = {group.kind for group in groups}
        kept = {name for group in missing for name in begun_sizes(run, group)}
        for folder in run.checkpoints.iterdir():
            if folder.name.rpartition("-")[0] in kinds and folder.name not in kept:
                folder.rmtree(missing_ok=True)


def remove_checkpoints(run: RunDirectory, groups: Sequence[TrialGroup]) -> None:
    """Remove the checkpoints that these very groups would resume from."""
    if run.checkpoints.exists():
        for group in groups:
            _checkpoints(run, group).rmtree(missing_ok=True)


@use_compilation_cache()
def run_groups(
    run: RunDirectory,
    dataset: Dataset | ImageDataset,
    groups: Sequence[TrialGroup],
    reporter: Reporter,
    *,
    checkpoint_folder: epath.Path | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    programs: KeptPrograms | None = None,
) -> list[str]:
    """Train what is missing of the groups; returns a sentence for each group that failed.

    A group that takes more memory than its devices have is trained in parts, each a group of its
    own; see `parts_after`. A group that the hardware gives up on is left missing, to be tried again
    by the next run, and the others go on; of several processes one may be alone in that, so they
    all end. A group resumes from its checkpoints, which lie in a folder of their own until its
    trials are in the tables, or in `checkpoint_folder`, where they stay. `asked_to_stop` is asked
    before each group and while it trains; if it says so, the group is saved and `TerminatedError`
    ends this.
    `programs` are those that earlier calls have compiled.
    """
    programs = KeptPrograms() if programs is None else programs
    failures: list[str] = []
    missing = unfinished(run, groups)
    if exchange.is_first():
        remove_checkpoints(run, [group for group in groups if group not in missing])
    waiting = collections.deque(part for group in missing for part in begun_parts(run, group))
    while waiting:
        exchange.barrier()  # the first may have written for longer
        (stopping,) = exchange.allgather_max(float(asked_to_stop()))
        if stopping:
            raise TerminatedError(f"It was asked to stop with {len(waiting)} groups to go.")
        group = waiting.popleft()
        reporter.start(group, work(group))
        try:
            rows = train_group(
                run,
                dataset,
                group,
                functools.partial(reporter.step, group),
                compiled=functools.partial(reporter.compiled, group),
                checkpoint_folder=checkpoint_folder,
                asked_to_stop=asked_to_stop,
                programs=programs,
                meanwhile=_compile_ahead(programs, waiting, dataset),
            )
        except (DoesNotFitError, jax.errors.JaxRuntimeError) as error:
            programs.forget()
            if parts := parts_after(group, error):
                reporter.split(group, parts, reason(error))
                if exchange.is_first():
                    remove_checkpoints(run, [group])  # of all its trials together
                waiting.extendleft(reversed(parts))
                continue
            if jax.process_count() > 1:
                raise
            failures.append(failure(group, str(error)))
            if lacks_memory(error):
                waiting = collections.deque(without_parts_like(waiting, group))
            continue
        if exchange.is_first():
            add_group(run, group, rows)
        reporter.finish(group, rows.trials)
    exchange.barrier()  # what is read from here on has been written
    return failures


def add_group(run: RunDirectory, group: TrialGroup, rows: GroupTables) -> None:
    """Add a trained group to the run directory, which its checkpoints then leave."""
    run.add_group(group.name, rows.trials, rows.metrics, rows.spectrum, rows.gains)
    remove_checkpoints(run, [group])


def train_group(
    run: RunDirectory,
    dataset: Dataset | ImageDataset,
    group: TrialGroup,
    progress: Progress,
    *,
    compiled: Callable[[float], None] = lambda fraction: None,
    checkpoint_folder: epath.Path | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    programs: KeptPrograms | None = None,
    meanwhile: Iterable[object] = (),
) -> GroupTables:
    """Train a group and return its rows.

    What it writes into the run directory itself are checkpoints and events.
    """
    with (
        Checkpoints(
            checkpoint_folder or _checkpoints(run, group),
            keep=group.training.checkpoints_kept,
            final=checkpoint_folder is not None,
        ) as checkpoints,
        _events(run, group) as events,
    ):
        outcome = train(
            group,
            dataset,
            checkpoints=checkpoints,
            events=events,
            progress=progress,
            compiled=compiled,
            asked_to_stop=asked_to_stop,
            kept=programs,
            meanwhile=meanwhile,
        )
    return tables(group, outcome)


def failure(group: TrialGroup, reason: str) -> str:
    """Say in a sentence, without its full stop, that a group failed and why."""
    first_line = reason.partition("\n")[0].rstrip(".")
    return f"{group} failed: {first_line}"


def work(group: TrialGroup) -> float:
    """Estimate a group's cost, for the time left.

    Narrow models are bound by overhead rather than arithmetic, about that of 10^5 parameters.
    """
    parameters = parameter_count(group.layout.parameters)
    steps = group.shape.steps + group.training.all_branch_steps
    return len(group.trials) * steps * group.data.tokens_per_step * (parameters + 1e5)


def _compile_ahead(
    programs: KeptPrograms, following: Sequence[TrialGroup], dataset: Dataset | ImageDataset
) -> Iterable[object]:
    """Compile for the next group, in parts, where that takes nothing from the one that trains.

    On CPUs it needs a core that has no device: with 2 cores and 2 devices a sweep takes as long
    with it as without. XLA times kernels on a GPU while it compiles for it, and of several
    processes each compiles for as long as it takes.
    """
    backend = jax.default_backend()
    busy = backend == "gpu" or (backend == "cpu" and job.cores() <= jax.local_device_count())
    if not following or busy or jax.process_count() > 1:
        return ()
    return programs.prepare(following[0], dataset)


def _checkpoints(run: RunDirectory, group: TrialGroup) -> epath.Path:
    return run.checkpoints / group.name


def _events(run: RunDirectory, group: TrialGroup) -> "AbstractContextManager[Events | None]":
    if not (group.training.tensorboard and exchange.is_first()):
        return nullcontext()
    # Imported here because few runs want it.
    from transfer.training.events import Events

    names = [group.trial_name(trial) for trial in group.trials]
    return Events(run.tensorboard, names, learning_rates(group))

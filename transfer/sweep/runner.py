"""Run groups on this machine, adding each to the run directory as it ends."""

import dataclasses
import functools
import typing
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import jax
from etils import epath

from transfer.config import Experiment
from transfer.data import Dataset, ImageDataset
from transfer.models import parameter_count
from transfer.runs import RunDirectory, Trial
from transfer.sweep.groups import Group, trial_name
from transfer.sweep.tables import Rows, learning_rates, tables
from transfer.training import Checkpoints, Progress, train

if typing.TYPE_CHECKING:
    from transfer.training.events import Events


class Reporter(Protocol):
    """What is told about the work while it goes on."""

    def start(self, group: Group, work: float) -> None:
        """A group begins; `work` is its share of all that is left, in arbitrary units."""

    def step(self, group: Group, fraction: float, loss: float) -> None:
        """This fraction of the group is done; `loss` is the median over its trials."""

    def finish(self, group: Group, trials: Sequence[Trial]) -> None:
        """The group is in the run directory."""


def unfinished(run: RunDirectory, experiment: Experiment, groups: Sequence[Group]) -> list[Group]:
    """Return what is missing of the groups in the run directory: fewer groups, or smaller ones."""
    done = {trial.trial for trial in run.trials()}
    missing = []
    for group in groups:
        settings = tuple(
            setting
            for setting in group.settings
            if trial_name(experiment, group, setting) not in done
        )
        if settings:
            missing.append(dataclasses.replace(group, settings=settings))
    return missing


def run_groups(
    experiment: Experiment,
    run: RunDirectory,
    dataset: Dataset | ImageDataset,
    groups: Sequence[Group],
    reporter: Reporter,
    *,
    checkpoint_folder: epath.Path | None = None,
) -> list[str]:
    """Train what is missing of the groups; returns a sentence for each group that failed.

    A group that the hardware gives up on (out of memory) is left missing, to be tried again by the
    next run, and the others go on. With a checkpoint folder the one group resumes from it.
    """
    failures = []
    for group in unfinished(run, experiment, groups):
        reporter.start(group, work(experiment, group))
        try:
            trials, *measured = train_group(
                experiment,
                run,
                dataset,
                group,
                functools.partial(reporter.step, group),
                checkpoint_folder=checkpoint_folder,
            )
        except jax.errors.JaxRuntimeError as error:
            first_line = str(error).partition("\n")[0]
            failures.append(f"{group.recipe} at width {group.width} failed: {first_line}")
            continue
        run.add_group(group.name, trials, *measured)
        reporter.finish(group, trials)
    return failures


def train_group(
    experiment: Experiment,
    run: RunDirectory,
    dataset: Dataset | ImageDataset,
    group: Group,
    progress: Progress,
    *,
    checkpoint_folder: epath.Path | None = None,
) -> Rows:
    """Train a group; returns its rows of trials, metrics, spectrum and gains.

    What it writes into the run directory itself are checkpoints and events.
    """
    with (
        _checkpoints(checkpoint_folder) as checkpoints,
        _events(experiment, run, group) as events,
    ):
        outcome = train(
            experiment.at(group.width),
            experiment.base_width,
            experiment.recipe.build(group.recipe),
            experiment.training,
            dataset,
            [(setting.hyperparameters, setting.seed) for setting in group.settings],
            base_layers=experiment.base_layers,
            horizon=experiment.horizon(group.width, group.recipe),
            checkpoints=checkpoints,
            events=events,
            progress=progress,
        )
    return tables(experiment, group, outcome)


def work(experiment: Experiment, group: Group) -> float:
    """Estimate a group's cost, for the time left.

    Narrow models are bound by overhead rather than arithmetic, about that of 10^5 parameters.
    """
    count = parameter_count(experiment.layout(group.width).parameters)
    tokens = experiment.steps(group.width) * experiment.data.tokens_per_step
    return len(group.settings) * tokens * (count + 1e5)


def _checkpoints(folder: epath.Path | None) -> AbstractContextManager[Checkpoints | None]:
    return nullcontext() if folder is None else Checkpoints(folder)


def _events(
    experiment: Experiment, run: RunDirectory, group: Group
) -> "AbstractContextManager[Events | None]":
    if not experiment.training.tensorboard:
        return nullcontext()
    # Imported here because few runs want it.
    from transfer.training.events import Events

    names = [trial_name(experiment, group, setting) for setting in group.settings]
    rates = learning_rates(experiment, group, experiment.steps(group.width))
    return Events(run.tensorboard, names, rates)

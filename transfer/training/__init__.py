"""Training a group of trials in one compiled program."""

from typing import TYPE_CHECKING

from transfer.renamed import renamed
from transfer.training.build import BuiltPopulation, build_population, group_mesh
from transfer.training.checkpoint import Checkpoints, Snapshot, restore_parameters
from transfer.training.config import TrainingConfig
from transfer.training.group import BaseSizes, Shape, TrialGroup, TrialSpec
from transfer.training.inputs import TrialInputs
from transfer.training.loop import Progress, train
from transfer.training.memory import DoesNotFitError, estimated_bytes, require_room_for_one
from transfer.training.outcome import Outcome
from transfer.training.population import Population
from transfer.training.run_size import run_size
from transfer.training.state import State

__all__ = [
    "BaseSizes",
    "BuiltPopulation",
    "Checkpoints",
    "DoesNotFitError",
    "Outcome",
    "Population",
    "Progress",
    "Shape",
    "Snapshot",
    "State",
    "TrainingConfig",
    "TrialGroup",
    "TrialInputs",
    "TrialSpec",
    "build_population",
    "estimated_bytes",
    "group_mesh",
    "require_room_for_one",
    "restore_parameters",
    "run_size",
    "train",
]

if not TYPE_CHECKING:
    __getattr__ = renamed("transfer.training", {"Trials": "transfer.training.TrialInputs"})

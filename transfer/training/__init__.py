"""Training a population of trials in one compiled program."""

from transfer.training.checkpoint import Checkpoints, Snapshot, restore_parameters
from transfer.training.config import TrainingConfig
from transfer.training.loop import Outcome, Progress, train
from transfer.training.population import Population, State, TrialInputs

__all__ = [
    "Checkpoints",
    "Outcome",
    "Population",
    "Progress",
    "Snapshot",
    "State",
    "TrainingConfig",
    "TrialInputs",
    "restore_parameters",
    "train",
]

"""Training a population of trials in one compiled program."""

from transfer.training.checkpoint import Checkpoints, Snapshot, restore_parameters
from transfer.training.config import TrainingConfig
from transfer.training.loop import Outcome, Progress, train
from transfer.training.mesh import MeshConfig, make_mesh
from transfer.training.population import Population, State, Trials

__all__ = [
    "Checkpoints",
    "MeshConfig",
    "Outcome",
    "Population",
    "Progress",
    "Snapshot",
    "State",
    "TrainingConfig",
    "Trials",
    "make_mesh",
    "restore_parameters",
    "train",
]

"""Optimizers whose per-parameter factors follow a layout and a recipe; schedules and clipping."""

from transfer.optim.adafactor import adafactor
from transfer.optim.adam_atan2 import adam_atan2
from transfer.optim.adamp import adamp
from transfer.optim.adamw import adamw
from transfer.optim.clipping import gradient_norm
from transfer.optim.lion import lion
from transfer.optim.muon import muon
from transfer.optim.scaled import Factors, LearningRate, Scalar, scaled
from transfer.optim.schedules import schedule
from transfer.optim.sgd import sgd

__all__ = [
    "Factors",
    "LearningRate",
    "Scalar",
    "adafactor",
    "adam_atan2",
    "adamp",
    "adamw",
    "gradient_norm",
    "lion",
    "muon",
    "scaled",
    "schedule",
    "sgd",
]

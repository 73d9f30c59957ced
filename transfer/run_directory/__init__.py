"""The files of one run: configuration and tables, whole or not at all."""

from typing import TYPE_CHECKING

from transfer.renamed import renamed
from transfer.run_directory.directory import CONFIG, FORECAST, FORMAT, PLAN, RunDirectory
from transfer.run_directory.horizons import HorizonKind, ReadOff, at_horizon, found_horizons
from transfer.run_directory.lock import LOCK
from transfer.run_directory.tables import (
    GAINS_SCHEMA,
    METRICS_SCHEMA,
    OBJECTIVES,
    SPECTRUM_SCHEMA,
    TRIALS_SCHEMA,
    Origin,
    Status,
    TrialResult,
)

__all__ = [
    "CONFIG",
    "FORECAST",
    "FORMAT",
    "GAINS_SCHEMA",
    "LOCK",
    "METRICS_SCHEMA",
    "OBJECTIVES",
    "PLAN",
    "SPECTRUM_SCHEMA",
    "TRIALS_SCHEMA",
    "HorizonKind",
    "Origin",
    "ReadOff",
    "RunDirectory",
    "Status",
    "TrialResult",
    "at_horizon",
    "found_horizons",
]

if not TYPE_CHECKING:
    __getattr__ = renamed("transfer.run_directory", {"Trial": "transfer.run_directory.TrialResult"})

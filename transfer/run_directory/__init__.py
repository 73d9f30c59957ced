"""The files of one run: configuration and tables, whole or not at all."""

from transfer.run_directory.directory import CONFIG, FORMAT, PLAN, RunDirectory
from transfer.run_directory.tables import (
    GAINS_SCHEMA,
    METRICS_SCHEMA,
    OBJECTIVES,
    SPECTRUM_SCHEMA,
    TRIALS_SCHEMA,
    Origin,
    Status,
    Trial,
)

__all__ = [
    "CONFIG",
    "FORMAT",
    "GAINS_SCHEMA",
    "METRICS_SCHEMA",
    "OBJECTIVES",
    "PLAN",
    "SPECTRUM_SCHEMA",
    "TRIALS_SCHEMA",
    "Origin",
    "RunDirectory",
    "Status",
    "Trial",
]

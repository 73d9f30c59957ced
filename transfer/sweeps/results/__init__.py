"""Results of sweeps made elsewhere, and of several runs, as the trials of one run directory."""

from transfer.sweeps.results.combine import combine
from transfer.sweeps.results.table import ResultsTable, read_results, trials

__all__ = ["ResultsTable", "combine", "read_results", "trials"]

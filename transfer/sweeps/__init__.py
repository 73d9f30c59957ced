"""Sweeps: what is declared, what is missing, and running it."""

from transfer.sweeps.bracket import bracket
from transfer.sweeps.groups import TrialGroup, TrialSpec, declared_groups, trial_name
from transfer.sweeps.preflight import load_for
from transfer.sweeps.progress import group_line
from transfer.sweeps.provenance import provenance, register_run
from transfer.sweeps.run import run_sweep, run_target
from transfer.sweeps.runner import Reporter, remove_orphans, run_groups, unfinished, work

__all__ = [
    "Reporter",
    "TrialGroup",
    "TrialSpec",
    "bracket",
    "declared_groups",
    "group_line",
    "load_for",
    "provenance",
    "register_run",
    "remove_orphans",
    "run_groups",
    "run_sweep",
    "run_target",
    "trial_name",
    "unfinished",
    "work",
]

"""Sweeps: what is declared, what is missing, and running it."""

from transfer.sweep.bracket import bracket
from transfer.sweep.groups import Group, Setting, declared_groups, trial_name
from transfer.sweep.preflight import load_for
from transfer.sweep.progress import group_line
from transfer.sweep.provenance import claim, provenance
from transfer.sweep.run import run_sweep, run_target
from transfer.sweep.runner import Reporter, remove_orphans, run_groups, unfinished, work

__all__ = [
    "Group",
    "Reporter",
    "Setting",
    "bracket",
    "claim",
    "declared_groups",
    "group_line",
    "load_for",
    "provenance",
    "remove_orphans",
    "run_groups",
    "run_sweep",
    "run_target",
    "trial_name",
    "unfinished",
    "work",
]

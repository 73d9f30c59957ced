"""Sweeps: what is declared, what is missing, and running it."""

from transfer.sweep.bracket import bracket
from transfer.sweep.groups import Group, Setting, declared_groups, trial_name
from transfer.sweep.provenance import claim, provenance
from transfer.sweep.runner import Reporter, run_groups, unfinished, work

__all__ = [
    "Group",
    "Reporter",
    "Setting",
    "bracket",
    "claim",
    "declared_groups",
    "provenance",
    "run_groups",
    "trial_name",
    "unfinished",
    "work",
]

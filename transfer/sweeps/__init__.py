"""Sweeps: what is declared, what is missing, and running it."""

from typing import TYPE_CHECKING

from transfer.renamed import renamed
from transfer.sweeps.adopt import Adopted, adopted, tuned_for
from transfer.sweeps.bracket import bracket
from transfer.sweeps.cost import GroupCost, SweepCost, group_cost, sweep_cost
from transfer.sweeps.design import Design, propose
from transfer.sweeps.experiment_at import experiment_at
from transfer.sweeps.groups import declared_groups, most_rounds
from transfer.sweeps.optimizer_groups import OptimizerGroups, optimizer_groups
from transfer.sweeps.preflight import load_for
from transfer.sweeps.provenance import provenance, register_run
from transfer.sweeps.registration import (
    make_forecast,
    register_forecast,
    target_size,
    target_widths,
)
from transfer.sweeps.reporter import Lines, Reporter, group_line, split_line
from transfer.sweeps.run import run_single, run_sweep, run_target, train_groups
from transfer.sweeps.runner import (
    Launcher,
    LocalLauncher,
    remove_orphans,
    run_groups,
    unfinished,
    work,
)
from transfer.sweeps.tables import GroupTables
from transfer.sweeps.target import extrapolated, target_experiment
from transfer.sweeps.target_values import parameter_values, target_values

__all__ = [
    "Adopted",
    "Design",
    "Group",
    "GroupCost",
    "GroupTables",
    "Launcher",
    "Lines",
    "LocalLauncher",
    "OptimizerGroups",
    "Reporter",
    "Setting",
    "SweepCost",
    "adopted",
    "bracket",
    "claim",
    "declared_groups",
    "experiment_at",
    "extrapolated",
    "group_cost",
    "group_line",
    "load_for",
    "make_forecast",
    "most_rounds",
    "optimizer_groups",
    "parameter_values",
    "propose",
    "provenance",
    "register_forecast",
    "register_run",
    "remove_orphans",
    "run_groups",
    "run_single",
    "run_sweep",
    "run_target",
    "split_line",
    "sweep_cost",
    "target_experiment",
    "target_size",
    "target_values",
    "target_widths",
    "train_groups",
    "trial_name",
    "tuned_for",
    "unfinished",
    "work",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        "transfer.sweeps",
        {
            "Group": "transfer.training.TrialGroup",
            "Setting": "transfer.training.TrialSpec",
            "claim": "transfer.sweeps.register_run",
            "trial_name": "transfer.training.TrialGroup.trial_name",
        },
    )

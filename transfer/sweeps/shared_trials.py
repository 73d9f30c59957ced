"""Trials that are one run under several recipes: trained once, and recorded under each.

At the base width every recipe leaves the hyperparameters as they stand, so trials that differ in
their recipe alone are the same run there, bit for bit. An adaptive search that begins at that width
asks for such trials once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transfer.config import Experiment
from transfer.run_directory import RunDirectory
from transfer.scaling import Recipe
from transfer.sweeps.horizon_rows import horizon_name
from transfer.sweeps.tables import Row, recipe_columns
from transfer.training import TrialGroup, TrialInputs, TrialSpec


def leading_recipes(
    experiment: Experiment, width: int, recipes: Sequence[Recipe]
) -> dict[Recipe, Recipe]:
    """Return for each recipe the first one whose runs at a width are the same as its own.

    Runs are the same where their programs are given the same numbers: what the recipe prescribes
    for every parameter, and what it makes of batch size and duration.

    Raises:
      TransferError: a recipe does not fit the model, the optimizer or the run.

    Example:
      >>> from transfer.config import read
      >>> experiment = read({"base_width": 16})
      >>> standard, mup = Recipe("standard"), Recipe("mup")
      >>> leading_recipes(experiment, 16, [standard, mup])[mup] == standard
      True
      >>> leading_recipes(experiment, 32, [standard, mup])[mup] == mup
      True
    """
    group = experiment.group(
        width, [TrialSpec(experiment.hyperparameters, 0, recipe) for recipe in recipes]
    )
    inputs, _ = TrialInputs.of(group.trials, group.layout, group.training, group.horizon)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    first: dict[bytes, Recipe] = {}
    return {
        recipe: first.setdefault(b"".join(leaf[place].tobytes() for leaf in leaves), recipe)
        for place, recipe in enumerate(recipes)
    }


def record_under(run: RunDirectory, group: TrialGroup, leaders: Mapping[Recipe, Recipe]) -> None:
    """Record the trained trials of a group under other recipes whose runs are the same.

    What was read off them at horizons, curves and singular values are theirs too. The rows took no
    time, and `execution` names the trial that was trained. What is recorded already stays as it is.

    Arguments:
      run: holds the group.
      leaders: by recipe, the one that was trained in its place, maybe itself.
    """
    recorded = run.rows()
    for recipe, leader in leaders.items():
        specs = [spec for spec in group.trials if spec.recipe == leader != recipe]
        twin = dataclasses.replace(
            group, trials=tuple(dataclasses.replace(spec, recipe=recipe) for spec in specs)
        )
        names = dict(
            zip(map(group.trial_name, specs), map(twin.trial_name, twin.trials), strict=True)
        )
        if set(names.values()) <= {row.trial for row in recorded}:
            continue
        mine = [row for row in recorded if (row.trunk or row.trial) in names]
        names |= {
            row.trial: horizon_name(names[row.trunk], row.origin, row.steps)
            for row in mine
            if row.trunk
        }
        rows = [
            dataclasses.replace(
                row,
                trial=names[row.trial],
                trunk=row.trunk and names[row.trunk],
                group=twin.name,
                **recipe_columns(recipe, group.training),
                wall_seconds=0.0,
                compile_seconds=0.0,
                execution=f"that of trial {row.trial}",
            )
            for row in mine
        ]
        curves = [_renamed(table, names) for table in (run.metrics(), run.spectrum(), run.gains())]
        run.add_group(twin.name, rows, *curves)


def _renamed(table: pa.Table, names: Mapping[str, str]) -> list[Row]:
    """The rows of some trials, under other names."""
    mine = table.filter(pc.is_in(table["trial"], pa.array(list(names), pa.string())))
    rows: list[dict[str, Any]] = mine.to_pylist()
    return [{**row, "trial": names[row["trial"]]} for row in rows]

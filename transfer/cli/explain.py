"""Prints one row per parameter of the model at --config.model.width.

Role, growth of fan-in and fan-out over --config.base_width and of depth over --config.base_layers,
init std, forward multiplier, and the factors of learning rate, weight decay and epsilon; then the
values themselves. Nothing is allocated. --format=json and csv have a row for every parameter with
factors and values. --for=torch prints AdamW's parameter groups as JSON, with the names that the
model has once it is exported, and --for=optax with this library's own paths.
"""

import csv
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config

if TYPE_CHECKING:
    from transfer.training import TrialGroup


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    absl_flags.DEFINE_enum(
        "format", "table", ("table", "json", "csv"), "how to print it", flag_values=values
    )
    absl_flags.DEFINE_enum(
        "for",
        None,
        ("torch", "optax"),
        "print parameter groups for the AdamW of this library instead",
        flag_values=values,
    )


def run(values: absl_flags.FlagValues) -> int:
    """Print the explanation."""
    platform.prepare()
    from transfer.scaling import explain
    from transfer.sweeps import optimizer_groups, target_values

    experiment = flags.experiment(values)
    group, recipe = experiment.single_run(), experiment.recipe.build()
    if library := values["for"].value:
        print(json.dumps(optimizer_groups(group, library).to_json(), indent=2))
        return 0
    if values["format"].value != "table":
        _print_rows(group, str(values["format"].value))
        return 0
    print(explain(group.layout.parameters, recipe, experiment.training.family))
    print(f"\n{target_values(group)}")
    horizon = dataclasses.asdict(group.horizon(recipe))
    if any(factor != 1.0 for factor in horizon.values()):
        words = {"averaging": "1 - beta"}
        settings = ", ".join(
            f"{words.get(name, name.replace('_', ' '))} x {factor:.4g}"
            for name, factor in horizon.items()
        )
        print(f"The optimizer's own, at this batch size and number of tokens: {settings}.")
    return 0


def _print_rows(group: "TrialGroup", form: str) -> None:
    """Print a row for every parameter: its factors, and its values at the model's width."""
    from transfer.scaling import explain
    from transfer.sweeps import parameter_values

    recipe = group.trials[0].recipe
    factors = explain(group.layout.parameters, recipe, group.training.family)
    values = {row.parameters[0]: row for row in parameter_values(group)}
    rows = []
    for each in factors:
        row, value = dataclasses.asdict(each), values[each.parameter]
        for name in ("learning_rate", "weight_decay", "epsilon"):
            row[f"{name}_factor"] = row.pop(name)
            row[name] = getattr(value, name)
        row["init_std"] = value.init_std
        row["multiplier"] = value.multiplier
        del row["std"]
        rows.append(row)
    if form == "json":
        print(json.dumps(rows, indent=2))
        return
    table = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({**row, "shape": "x".join(map(str, row["shape"]))})

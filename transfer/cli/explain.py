"""Prints one row per parameter of the model at --config.model.width.

Role, growth of fan-in and fan-out over --config.base_width and of depth over --config.base_layers,
init std, forward multiplier, and the factors of learning rate, weight decay and epsilon. Nothing is
allocated.
"""

import dataclasses
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)


def run(values: absl_flags.FlagValues) -> int:
    """Print the explanation."""
    platform.prepare()
    from transfer.scaling import explain

    experiment = flags.experiment(values)
    group, recipe = experiment.single_run(), experiment.recipe.build()
    print(explain(group.layout.parameters, recipe, experiment.training.family))
    horizon = dataclasses.asdict(group.horizon(recipe))
    if any(factor != 1.0 for factor in horizon.values()):
        words = {"averaging": "1 - beta"}
        settings = ", ".join(
            f"{words.get(name, name.replace('_', ' '))} x {factor:.4g}"
            for name, factor in horizon.items()
        )
        print(f"The optimizer's own, at this batch size and number of tokens: {settings}.")
    return 0

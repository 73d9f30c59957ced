"""Prints one row per parameter of the model at --config.model.width.

Role, growth of fan-in and fan-out over --config.base_width, init std, forward multiplier, and the
factors of learning rate, weight decay and epsilon. Nothing is allocated.
"""

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
    from transfer.models import model_layout
    from transfer.scaling import explain

    experiment = flags.experiment(values)
    layout = model_layout(experiment.model, experiment.base_width).parameters
    print(explain(layout, experiment.recipe.build(), experiment.training.family))
    return 0

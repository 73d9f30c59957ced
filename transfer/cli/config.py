"""Prints the resolved configuration as a config file: every setting with its value.

The file can be used again: transfer config --config=quickstart --config.model.layers=4 > mine.py
"""

import dataclasses
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config

_FILE = '''\
"""The configuration {name}, as `transfer config` resolved it."""

from transfer.config import template


def get_config():
    config = template({kinds})
{settings}
    return config'''


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)


def run(values: absl_flags.FlagValues) -> int:
    """Print the configuration."""
    platform.prepare()
    experiment = flags.experiment(values)
    settings = "\n".join(
        f"    config.{key} = {value!r}"
        for key, value in flags.flat(dataclasses.asdict(experiment))
        if not key.endswith(".kind")  # which `template` is told
    )
    kinds = f"{experiment.model.kind!r}, {experiment.data.kind!r}".replace("'", '"')
    print(_FILE.format(name=experiment.name, kinds=kinds, settings=settings))
    return 0

"""A configuration that trains in seconds, and the command line as a function."""

from pathlib import Path

from transfer.cli.main import main

TINY = """\
from transfer.config import template


def get_config():
    config = template()
    config.name = "tiny"
    config.base_width = 8
    config.model.width = 32
    config.model.layers = 1
    config.model.head_dim = 8
    config.model.dtype = "float32"
    config.data.name = "synthetic"
    config.data.sequence_length = 16
    config.data.batch_size = 4
    config.data.eval_sequences = 8
    config.training.steps = 12
    config.training.warmup = 2
    config.training.log_every = 2
    config.training.checkpoint_every = 2
    config.sweep.widths = (8, 16)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-7, 2, 2))
    return config
"""


def transfer(*arguments: object) -> int:
    """Run `transfer ARGUMENTS` in this process; returns the exit status."""
    return main(["transfer", *map(str, arguments)])


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder: the content of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }

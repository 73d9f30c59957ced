"""Where text comes from: `open_source` finds it by name."""

from collections.abc import Callable

from transfer.data.config import DataConfig
from transfer.data.sources.source import Source
from transfer.data.sources.stdlib_text import open_stdlib_text
from transfer.data.sources.synthetic import open_synthetic
from transfer.data.sources.tfds_text import open_tfds_text

__all__ = ["Source", "open_source"]

_SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "stdlib_text": open_stdlib_text,
    "synthetic": open_synthetic,
}


def open_source(config: DataConfig) -> Source:
    """Return the source named `config.name`: one of our own, or else a TFDS text data set.

    Raises `TransferError` when it is unknown, not prepared or cannot be read.

    Example:
      >>> len(list(open_source(DataConfig(name="synthetic")).documents("test")))
      32
    """
    return _SOURCES.get(config.name, open_tfds_text)(config)

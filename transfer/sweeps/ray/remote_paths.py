"""Paths that hold in any working directory, since that of a worker is its own."""

import dataclasses
import os

from transfer.data import OWN_FILES, DataConfig, ImageConfig


def absolute(path: str) -> str:
    """Return a path from the root; a bucket, a home and nothing are the same everywhere.

    Example:
      >>> absolute("gs://bucket/run"), absolute("~/data"), absolute("")
      ('gs://bucket/run', '~/data', '')
      >>> absolute("runs/sweep") == os.path.join(os.getcwd(), "runs/sweep")
      True
    """
    return path if not path or "://" in path or path.startswith("~") else os.path.abspath(path)


def with_absolute_paths(data: DataConfig | ImageConfig) -> DataConfig | ImageConfig:
    """Return the same data, from wherever they are read."""
    data = dataclasses.replace(data, data_dir=absolute(data.data_dir))
    if data.name.startswith(OWN_FILES):
        place = absolute(data.name.removeprefix(OWN_FILES))
        data = dataclasses.replace(data, name=OWN_FILES + place)
    if isinstance(data, DataConfig) and data.tokenizer != "bytes":
        return dataclasses.replace(data, tokenizer=absolute(data.tokenizer))
    return data

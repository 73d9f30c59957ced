"""How large a notebook runs: as it is meant to be read, or small, which is how the tests run it.

`NOTEBOOK_SIZE=small` in the environment of Jupyter makes it small. Imported first, since JAX has to
know before it starts that every core is a device.
"""

import os
import tempfile
from typing import TypeVar

from transfer.cli import platform

platform.prepare()

Value = TypeVar("Value")

SMALL = os.environ.get("NOTEBOOK_SIZE", "full") == "small"


def size(full: Value, *, small: Value) -> Value:
    """Return the value for this size of a notebook.

    Example:
      >>> size(150, small=10) in (150, 10)
      True
    """
    return small if SMALL else full


def folder(name: str) -> str:
    """Return where a run goes: beside the notebook, or small ones where nobody looks."""
    return tempfile.mkdtemp(prefix=f"{name}-") if SMALL else f"runs/{name}"

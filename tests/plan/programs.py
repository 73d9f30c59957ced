"""Small programs, compiled here or for a slice, and what reading them gives."""

import importlib.util

import jax
import pytest

from transfer.plan import hlo
from transfer.plan.cost import Cost, cost

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="compiling for a TPU needs libtpu"
)


def compiled(function, *shapes):
    return jax.jit(function).lower(*shapes).compile()


def counted(function, *shapes) -> Cost:
    """What a function costs on one device of this machine."""
    return cost(hlo.parse(compiled(function, *shapes).as_text()), devices=1)


def read(text: str, devices: int = 1) -> Cost:
    """What the text of a program costs."""
    return cost(hlo.parse(text), devices)


def shape(*sizes: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, dtype)

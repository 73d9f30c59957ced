"""Matrices with known singular values, and the layout of a tree that holds just one."""

import functools

import jax
import numpy as np

from transfer.scaling import Annotated, Axes, Layout

# Compiling is most of the time; optimized code would not pay for itself on matrices so small.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def layout_of(*shape: int, axes: str = "embed -> ffn") -> Layout:
    """The layout of {"w": weight}: all axes but a stack's grow."""
    named = Axes.parse(axes)
    stack = len(named.stack)

    def at(scale: int) -> dict[str, Annotated]:
        sizes = (*shape[:stack], *(scale * size for size in shape[stack:]))
        return {"w": Annotated(axes=named, shape=sizes, gain=1.0)}

    return Layout.compare(base=at(1), probe=at(2), target=at(1))


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def with_values(values: np.ndarray, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """A matrix with these singular values and random directions, in float64."""
    random = np.random.default_rng(seed)
    left, right = (
        np.linalg.qr(random.standard_normal((size, len(values))))[0] for size in (rows, columns)
    )
    return (left * values) @ right.T


def true_values(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.svd(matrix.astype(np.float64), compute_uv=False)

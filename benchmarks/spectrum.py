"""The largest singular value by Lanczos against decompositions and SciPy's own Lanczos.

Gaussian matrices are the hard case; those whose values fall as i^-0.18 are what training makes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg

from benchmarks.options import Options
from benchmarks.results import Part
from benchmarks.side_by_side import compare
from transfer.probes import initial_vectors, measure_spectrum
from transfer.scaling import Annotated, Axes, Layout

LAYERS = 12


def measure(part: Part, options: Options) -> None:
    for n in (1024, 2048):
        gaussian = np.random.default_rng(0).standard_normal((1, n, n)).astype(np.float32)
        _against(part, f"Gaussian, {n}", gaussian, 16, options)
        # A random start sees a diagonal matrix as it would see any rotation of it.
        falling = np.diag(np.arange(1, n + 1) ** -0.18).astype(np.float32)[None]
        _against(part, f"i^-0.18, {n}", falling, 8, options)
    stack = np.random.default_rng(0).standard_normal((LAYERS, 512, 512)).astype(np.float32)
    _against(part, f"Gaussian, {LAYERS} layers of 512", stack, 16, options)


def _against(part: Part, name: str, matrices: np.ndarray, pairs: int, options: Options) -> None:
    layers, rows, columns = matrices.shape
    layout, weights = _layout(layers, rows, columns), jnp.asarray(matrices)
    start = initial_vectors(layout, 1, jax.random.key(0))
    svd = jax.jit(lambda weights: jnp.linalg.svd(weights, compute_uv=False))
    lanczos = jax.jit(
        lambda weights: measure_spectrum({"w": weights}, layout, start, pairs=pairs).values["w"]
    )
    error = np.max(1 - lanczos(weights)[:, 0] / svd(weights)[:, 0])
    others = {
        "jnp.linalg.svd": lambda: svd(weights),
        "numpy's 2-norm": lambda: [np.linalg.norm(each, 2) for each in matrices],
        "scipy's svds": lambda: [
            scipy.sparse.linalg.svds(each, k=1, return_singular_vectors=False) for each in matrices
        ],
    }
    for other, run in others.items():
        case = f"{name}: {other} / Lanczos, {pairs} pairs"
        compare(part, case, run, lambda: lanczos(weights), options)
        part.fact(f"{case}: relative error of Lanczos", float(error))


def _layout(layers: int, rows: int, columns: int) -> Layout:
    def at(scale: int) -> dict[str, Annotated]:
        axes = Axes.parse("layers | embed -> ffn")
        return {"w": Annotated(axes=axes, shape=(layers, scale * rows, scale * columns), gain=1.0)}

    return Layout.compare(base=at(1), probe=at(2), target=at(1))

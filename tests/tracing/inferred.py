"""Small models of a growing width, and what is inferred of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.scaling import Layout
from transfer.tracing import infer_layout

BASE, WIDTH = 8, 24
FEATURES, OUTPUTS, VOCABULARY = 3, 2, 11


def example(*shape: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


ROWS = example(5, FEATURES)
SEQUENCES = example(2, 6, FEATURES)
TOKENS = example(2, 6, dtype="int32")


def tree(**shapes: Callable[[int], tuple[int, ...]]) -> Callable[[int], dict[str, jax.Array]]:
    """A tree of parameters, each with its shape as a function of the width."""
    return lambda n: {name: jnp.zeros(shape(n)) for name, shape in shapes.items()}


def inner(**shapes: Callable[[int], tuple[int, ...]]) -> Callable[[int], dict[str, jax.Array]]:
    """A tree of parameters between `embed`, features to the width, and `readout`, width to outputs.

    The parameters of interest then meet an activation of the width, as they do in a model.
    """
    return tree(embed=lambda n: (FEATURES, n), readout=lambda n: (n, OUTPUTS), **shapes)


def between(layer: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The forward pass of `inner` with a layer (parameters, activation) in its middle."""
    return lambda p, x: layer(p, x @ p["embed"]) @ p["readout"]


def layout_of(build: Any, inputs: Any, apply: Any = None, **settings: Any) -> Layout:
    return infer_layout(build, base_width=BASE, width=WIDTH, apply=apply, inputs=inputs, **settings)


def axes_of(build: Any, inputs: Any, apply: Any = None, **settings: Any) -> dict[str, str]:
    """Annotations by path, without the two ends that `inner` adds."""
    layout = layout_of(build, inputs, apply, **settings)
    return {
        path: str(parameter.axes)
        for path, parameter in layout.items()
        if path not in ("embed", "readout")
    }


def one_layer(layer: Callable[..., jax.Array], **shapes: Callable[[int], tuple[int, ...]]) -> Any:
    """Annotations of the parameters of one layer between the two ends."""
    return axes_of(inner(**shapes), ROWS, between(layer))


class Between(nnx.Module):
    """Two linear maps and what a subclass does between them."""

    def __init__(self, n):
        self.enter = nnx.Linear(FEATURES, n, rngs=nnx.Rngs(0))
        self.leave = nnx.Linear(n, 2, rngs=nnx.Rngs(1))
        self.setup(n)

    def __call__(self, x):
        return self.leave(self.inside(self.enter(x)))

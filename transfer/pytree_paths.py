"""The path of a leaf in a tree of parameters, the same for every kind of tree."""

import collections
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.core import meta

from transfer.errors import TransferError


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[str, Any]]:
    """Return every leaf of a tree with its keys joined by dots, `blocks.0.kernel`, in tree order.

    Variables of flax.nnx and boxed parameters of linen hold their array in an attribute `value`. It
    is left out, so that a module, its state and a nested dictionary of its arrays have equal paths;
    a field that a user named `value` stays.

    Raises `TransferError` for two leaves of one path, such as `{"a.b": x, "a": {"b": y}}`, because
    one of them would otherwise go without its factors.
    """
    found: list[tuple[str, Any]] = []
    nodes = jax.tree_util.tree_leaves_with_path(
        tree, is_leaf=lambda node: _is_box(node) or (is_leaf is not None and is_leaf(node))
    )
    for keys, node in nodes:
        if _is_box(node):
            inside = jax.tree_util.tree_leaves_with_path(node, is_leaf=is_leaf)
            found += [(_joined((*keys, *within[1:])), leaf) for within, leaf in inside]
        else:
            found.append((_joined(keys), node))
    counts = collections.Counter(path for path, _ in found)
    twice = next((path for path, count in counts.items() if count > 1), None)
    if twice is not None:
        raise TransferError(
            f'Two leaves of the tree have the path "{twice}", its keys joined by dots; expected '
            "keys that tell all leaves apart: rename one of them."
        )
    return found


def leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by path; raises `TransferError` where two have the same.

    Example:
      >>> leaves({"layer": [1.0, 2.0]})
      {'layer.0': 1.0, 'layer.1': 2.0}
    """
    return dict(flatten(tree))


def parameters(tree: Any) -> dict[str, Any]:
    """Return the leaves that can be trained, by path: arrays of floating point numbers.

    Trees such as equinox modules also hold functions, flags and integers among their leaves.

    Example:
      >>> list(parameters({"kernel": jnp.ones(2), "activation": jnp.tanh, "steps": 3}))
      ['kernel']
    """
    return {path: leaf for path, leaf in flatten(tree) if is_parameter(leaf)}


def is_parameter(leaf: Any) -> bool:
    """Return whether a leaf can be trained: an array, concrete or not, of floating point numbers.

    Example:
      >>> is_parameter(jnp.ones(2)), is_parameter(jnp.arange(2)), is_parameter(1.0)
      (True, False, False)
    """
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def require_real(leaves: Mapping[str, Any]) -> None:
    """Raise `TransferError` for a leaf of complex numbers, to which no rule of a recipe applies."""
    for name, leaf in leaves.items():
        if jnp.issubdtype(getattr(leaf, "dtype", jnp.float32), jnp.complexfloating):
            raise TransferError(
                f"{name} is {leaf.dtype}; expected real numbers: hold a complex "
                "parameter as its real and its imaginary part."
            )


def map_leaves(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Map function(path, leaf, *leaves of the rest) over a tree.

    Example:
      >>> map_leaves(lambda path, leaf: f"{path}={leaf}", {"up": {"kernel": 1}})
      {'up': {'kernel': 'up.kernel=1'}}
    """
    structure: Any = jax.tree.structure(tree)
    others = [structure.flatten_up_to(other) for other in rest]
    mapped = [
        function(path, leaf, *along)
        for (path, leaf), *along in zip(flatten(tree), *others, strict=True)
    ]
    return structure.unflatten(mapped)


def _is_box(node: Any) -> bool:
    return isinstance(node, nnx.Variable | meta.AxisMetadata)


def _joined(keys: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator=".")

"""The path of a leaf in a tree of parameters, the same for every kind of tree."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey

from transfer.errors import TransferError


def path(keys: tuple[Any, ...]) -> str:
    """Join a leaf's keys with dots: `blocks.0.kernel`.

    Variables of flax.nnx and boxed parameters of linen hold their array in an attribute `value`. It
    is left out, so that a module, its state and a nested dictionary of its arrays have equal paths.
    """
    if keys and keys[-1] == GetAttrKey("value"):
        keys = keys[:-1]
    return jax.tree_util.keystr(keys, simple=True, separator=".")


def leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by path.

    Example:
      >>> leaves({"layer": [1.0, 2.0]})
      {'layer.0': 1.0, 'layer.1': 2.0}
    """
    return {path(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


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
    return jax.tree_util.tree_map_with_path(
        lambda keys, *leaves: function(path(keys), *leaves), tree, *rest
    )

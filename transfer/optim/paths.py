"""A leaf's path, by which a layout knows it."""

from collections.abc import Callable
from typing import Any

import jax


def path(keys: tuple[Any, ...]) -> str:
    """Write the keys to a leaf as a layout writes its path.

    Example:
      >>> path((jax.tree_util.DictKey("up"), jax.tree_util.DictKey("kernel")))
      'up.kernel'
    """
    return jax.tree_util.keystr(keys, simple=True, separator=".")


def map_with_path(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply `function(path, leaf, *rest)` to every leaf of a tree.

    Example:
      >>> map_with_path(lambda path, leaf: f"{path}={leaf}", {"up": {"kernel": 1}})
      {'up': {'kernel': 'up.kernel=1'}}
    """
    return jax.tree_util.tree_map_with_path(
        lambda keys, *leaves: function(path(keys), *leaves), tree, *rest
    )

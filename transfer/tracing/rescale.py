"""Rescaling the init of a user's model as a recipe says."""

from typing import Any

import jax
import jax.numpy as jnp

from transfer import pytree_paths
from transfer.errors import TransferError
from transfer.scaling import Layout, Recipe


def rescale_init(
    parameters: Any, base_parameters: Any, layout: Layout, recipe: Recipe | str
) -> Any:
    """Rescale freshly drawn parameters to the std that a recipe gives them at their width.

    rms(w) <- rms(w at the base width) * factor(role, m_in, m_out), measured on a concrete init at
    the base width, so that it does not matter how the model's own initializers follow width.
    Constants (zeros, gains of one) stay as they are. A parameter whose shape is that of the base
    width is multiplied by the recipe's factor alone, which is 1 unless its layer is reparametrized.

    Arguments:
      parameters: those of the model to be trained, any tree whose paths are the layout's.
      base_parameters: the same model's at the base width, from the same initializers.

    Raises `TransferError` when a tree does not fit the layout, or when a parameter is random at one
    width and constant at the other.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> readout = lambda n: {"w": Annotated(axes=Axes.parse("0 -> 1"), shape=(n, 10))}
      >>> layout = Layout.compare(base=readout(64), probe=readout(128), target=readout(256))
      >>> drawn = lambda n: {"w": jax.random.normal(jax.random.key(n), (n, 10)) / n**0.5}
      >>> scaled = rescale_init(drawn(256), drawn(64), layout, Recipe("mup_table3"))
      >>> round(float(jnp.std(scaled["w"]) / jnp.std(drawn(64)["w"])), 2)  # 1 / m
      0.25
    """
    rules = Recipe.of(recipe).rules(layout)
    own, base = pytree_paths.leaves(parameters), pytree_paths.leaves(base_parameters)
    pytree_paths.require_real(own | base)
    layout.require(own)
    layout.require(base)
    sizes, base_sizes = _measured(own), _measured(base)

    def scaled(path: str, leaf: jax.Array) -> jax.Array:
        shape, base_shape = layout[path].shape, layout[path].base_shape
        if leaf.shape != shape or base[path].shape != base_shape:
            raise TransferError(
                f"{path} has the shape {leaf.shape} and, at the base width, {base[path].shape}; "
                f"the layout expects {shape} and {base_shape}."
            )
        factor = rules[path].std
        if shape == base_shape and factor == 1.0:
            return leaf
        (random, size), (base_random, base_size) = sizes[path], base_sizes[path]
        if random != base_random:
            raise TransferError(
                f"{path} is random at one width and constant at the other; expected the same "
                "initializers at both."
            )
        if not random:
            return leaf
        # At the base width another draw's size is no reason to change this one.
        relative = 1.0 if shape == base_shape else base_size / size
        return (leaf * (factor * relative)).astype(leaf.dtype)

    return pytree_paths.map_leaves(scaled, parameters)


@jax.jit
def _measured(leaves: dict[str, jax.Array]) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Whether a leaf's entries differ, and their root mean square, by path.

    The latter is the std of weights drawn around zero; weights drawn around another value, such as
    gains around one, keep that value.
    """

    def measured(leaf: jax.Array) -> tuple[jax.Array, jax.Array]:
        leaf = leaf.astype(jnp.float32)
        return jnp.max(leaf) > jnp.min(leaf), jnp.sqrt(jnp.mean(jnp.square(leaf)))

    return {path: measured(leaf) for path, leaf in leaves.items()}

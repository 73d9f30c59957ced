"""Rescaling the init of a user's model as a recipe says."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from transfer import pytree_paths
from transfer.errors import TransferError
from transfer.precision import precise
from transfer.scaling import Layout, Parameter, Recipe, Role


def rescale_init(
    parameters: Any, base_parameters: Any, layout: Layout, recipe: Recipe | str
) -> Any:
    """Rescale freshly drawn parameters to the std that a recipe gives them at their width.

    rms(w) <- rms(w at the base width) * factor(role, m_in, m_out), measured on a concrete init at
    the base width, so that it does not matter how the model's own initializers follow width.
    Zeros stay as they are. A parameter without a fan-in (a gain, a bias, decay rates, slopes of
    heads) is meant to have one std at every width, and has a law to correct only if it is drawn: it
    is measured where its entries are evidently independent draws around zero, at least 64 at both
    widths, and left alone otherwise. A matrix that is not drawn around zero (an identity, a mean, a
    HiPPO matrix) stays where its rms is within 5% of what the recipe asks for, and is refused
    otherwise, because its rms says nothing of what its products are. A parameter whose shape is
    that of the base width is multiplied by the recipe's factor alone, which is 1 unless its layer
    is reparametrized.

    Arguments:
      parameters: those of the model to be trained, any tree whose paths are the layout's. Leaves
        that are no floating point arrays, such as an equinox module's functions, stay.
      base_parameters: the same model's at the base width, from the same initializers.

    Raises `TransferError` when a tree does not fit the layout, when an entry is not finite, or when
    one of the two draws of a matrix says nothing of its std: a matrix of a single entry, one that
    is random at one width and constant at the other, or one of a structure that does not follow the
    recipe.

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
    own, base = pytree_paths.parameters(parameters), pytree_paths.parameters(base_parameters)
    pytree_paths.require_real(own | base)
    layout.require(own)
    layout.require(base)
    for path, leaf in own.items():
        shape, base_shape = layout[path].shape, layout[path].base_shape
        if leaf.shape != shape or base[path].shape != base_shape:
            raise TransferError(
                f"{path} has the shape {leaf.shape} and, at the base width, {base[path].shape}; "
                f"the layout expects {shape} and {base_shape}."
            )
    draws, base_draws = _measured(own, layout), _measured(base, layout)

    def scaled(path: str, leaf: Any) -> Any:
        if path not in own:
            return leaf
        factor = rules[path].std
        if layout[path].shape != layout[path].base_shape:
            factor = _factor(layout[path], factor, draws[path], base_draws[path])
        elif not draws[path].random:
            # At the base width another draw's size is no reason to change this one.
            return leaf
        return leaf if factor == 1.0 else (precise(leaf) * factor).astype(leaf.dtype)

    return pytree_paths.map_leaves(scaled, parameters)


# Fewer entries than these say too little of how a vector was drawn.
_ENOUGH = 64
# By how many sampling errors, and at least by which share of the root mean square, a mean or a
# correlation has to stand out: structured vectors, such as slopes and decay rates, are above 0.5.
_ERRORS, _SHARE = 4.0, 0.1
# The kurtosis of a draw is 3 if it is normal, 1.8 if uniform and 6 if Laplace's; of a vector with
# few entries that count, such as one of an identity's, it is about the number of entries.
_KURTOSIS = 12.0
# How near a matrix of a structure has to be to the size that its role asks for.
_NEAR = 0.05


class _Draw:
    """What one array says of the law it was drawn from.

    `size` is the root mean square, the std of weights drawn around zero; `drawn` says whether the
    entries may be independent draws around zero: neither the mean nor the product of neighbors
    stands out, and no few entries make up the whole.
    """

    def __init__(self, leaf: jax.Array, statistics: np.ndarray):
        low, high, self.size, mean, neighbors, kurtosis = map(float, statistics)
        self.entries = leaf.size
        self.random = high > low
        self.zero = low == high == 0.0
        self.finite = bool(np.isfinite([low, high, self.size]).all())
        bound = max(_SHARE, _ERRORS / self.entries**0.5)
        centred = max(abs(mean) * self.size, abs(neighbors)) <= bound * self.size**2
        self.drawn = self.random and centred and kurtosis <= _KURTOSIS


def _factor(parameter: Parameter, factor: float, draw: _Draw, base: _Draw) -> float:
    """By what an array is multiplied to be of the base width's size times the role's factor."""
    if not (draw.finite and base.finite):
        raise TransferError(
            f"{parameter.path} holds numbers that are not finite; expected freshly drawn "
            "parameters at both widths."
        )
    drawn = draw.drawn and base.drawn
    if parameter.axes.inputs is None:
        enough = min(draw.entries, base.entries) >= _ENOUGH
        return factor * base.size / draw.size if drawn and enough else factor
    if draw.random != base.random:
        if 1 in (draw.entries, base.entries):
            raise TransferError(
                f"{parameter.path} has a single entry at one of the widths, which says nothing of "
                "the std it was drawn with; expected a base width at which it has several."
            )
        raise TransferError(
            f"{parameter.path} is random at one width and constant at the other; expected the same "
            "initializers at both."
        )
    # An input weight's std is the same at every width; one that was not drawn needs no correction.
    if not drawn and parameter.role in (Role.INPUT, Role.SCALAR):
        return factor
    if draw.zero and base.zero:
        return factor
    wanted = factor * base.size / draw.size if draw.size else math.inf
    if drawn:
        return wanted
    if abs(wanted - 1.0) > _NEAR:
        raise TransferError(
            f"{parameter.path} is not drawn around zero (an identity, a mean or another "
            f"structure), and its role, {parameter.role}, asks for {wanted:.3g} times its size, so "
            "that no rule tells how it follows width; expected independent draws around zero, or "
            "rescale_init of the other parameters alone, with layout.subset(paths)."
        )
    return 1.0


def _measured(leaves: dict[str, jax.Array], layout: Layout) -> dict[str, _Draw]:
    stacks = tuple(
        (path, layout[path].axes.places[: len(layout[path].axes.stack)]) for path in leaves
    )
    statistics = jax.device_get(_statistics(leaves, stacks))
    return {path: _Draw(leaf, statistics[path]) for path, leaf in leaves.items()}


@functools.partial(jax.jit, static_argnums=1)
def _statistics(
    leaves: dict[str, jax.Array], stacks: tuple[tuple[str, tuple[int, ...]], ...]
) -> dict[str, jax.Array]:
    """Least and largest entry, rms, mean, mean product of neighbors and kurtosis, by path.

    `stacks` says which axes of a leaf enumerate weights: each may have a size of its own, so that
    the kurtosis is the mean of theirs.
    """
    return {path: _statistics_of(leaves[path], stack) for path, stack in stacks}


def _statistics_of(leaf: jax.Array, stack: tuple[int, ...]) -> jax.Array:
    entries = precise(leaf)
    rows = jnp.moveaxis(entries, stack, range(len(stack)))
    rows = rows.reshape(math.prod(rows.shape[: len(stack)]), -1)
    squares = jnp.mean(jnp.square(rows), axis=1)
    drawn = squares > 0.0
    units = rows / jnp.sqrt(jnp.where(drawn, squares, 1.0))[:, None]
    kurtosis = jnp.mean(jnp.square(jnp.square(units)), axis=1)
    entries = entries.ravel()
    neighbors = jnp.mean(entries[1:] * entries[:-1]) if leaf.size > 1 else jnp.zeros(())
    return jnp.stack(
        [
            jnp.min(entries),
            jnp.max(entries),
            jnp.sqrt(jnp.mean(squares)),
            jnp.mean(entries),
            neighbors,
            jnp.sum(kurtosis) / jnp.maximum(jnp.sum(drawn), 1),
        ]
    )

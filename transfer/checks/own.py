"""The coordinate check of a model of one's own, in one call."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from transfer.checks.coordinates import CoordinateCheck, check_coordinates
from transfer.checks.sizes import MakeOptimizer
from transfer.checks.subject import foreign
from transfer.scaling import Family, Recipe


def check(
    build: Callable[[int, int], Any],
    widths: Sequence[int],
    *,
    base_width: int,
    recipe: Recipe,
    inputs: Any,
    apply: Callable[..., Any] | None = None,
    axes: Mapping[str, str] | None = None,
    multiplied: Iterable[str] = (),
    rescale: bool = False,
    make_optimizer: MakeOptimizer | None = None,
    family: Family = "entrywise",
    seeds: int = 4,
    steps: int = 4,
) -> CoordinateCheck:
    """Check that every size inside a model follows width as its recipe says.

    Printed, the check is a table of slopes beside their predictions, and `findings`: a sentence for
    each thing that is wrong, such as an init, a learning rate, a multiplier or the scale of
    attention logits.

    Arguments:
      build: width and seed to a flax.nnx module, a linen module, or a tree of parameters.
      widths: at least two; several doublings tell slopes apart best.
      base_width: where the learning rate is meant as it stands.
      recipe: what the model is meant to follow.
      inputs: a batch, or a tuple of several arrays.
      apply, axes, multiplied: as in `transfer.infer_layout`; a tree needs `apply`.
      rescale: whether training passes the parameters through `transfer.rescale_init` first.
      make_optimizer: layout to an optax transformation; by default AdamW, or SGD for the linear
        family, with the recipe.
      family: which family's exponents the optimizer should show.
      seeds: how many inits to average over.
      steps: how many real steps to take after the infinitesimal one.

    Raises:
      TransferError: fewer than two widths or seeds, an output that is not one array, a tree without
        `apply`, or what `transfer.infer_layout` refuses.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> def build(width, seed):
      ...     rngs = nnx.Rngs(seed)
      ...     return nnx.Sequential(
      ...         nnx.Linear(4, width, rngs=rngs), nnx.relu, nnx.Linear(width, 1, rngs=rngs)
      ...     )
      >>> recipe = Recipe("mup_table3")
      >>> inputs = jnp.ones((1, 4))
      >>> checked = check(build, (64, 256), base_width=64, recipe=recipe, inputs=inputs, steps=1)
      >>> print(checked.findings[0])
      The model is initialised as under standard and not as under mup_table3+sqrt \
(layers.2.kernel): pass its parameters through transfer.rescale_init before training.

    Source: arXiv 2203.03466 (appendix D.1).
    """
    subject = foreign(
        build,
        base_width=base_width,
        recipe=recipe,
        inputs=inputs,
        apply=apply,
        axes=axes,
        multiplied=multiplied,
        rescale=rescale,
    )
    return check_coordinates(
        subject, widths, make_optimizer=make_optimizer, family=family, seeds=seeds, steps=steps
    )

"""What is measured of the hidden matrices of a trial between two steps of its training."""

from typing import Any

import jax

from transfer import probes, pytree_paths
from transfer.models import Arrays, ModelConfig, stateful_pass
from transfer.recipe_arrays import RecipeArrays
from transfer.scaling import Layout, Role
from transfer.tracing import sublayer_gains

# How many singular values are measured, and by how many pairs of products.
RANKS, _PAIRS = 4, 8
# Of the first held-out batch, how many examples the gains are measured on.
EXAMPLES = 4
# By quantity and path.
Measured = dict[str, dict[str, jax.Array]]


def hidden(parameters: Arrays, layout: Layout) -> dict[str, jax.Array]:
    """Return the hidden weights by path."""
    leaves = pytree_paths.leaves(parameters).items()
    return {path: leaf for path, leaf in leaves if layout[path].role == Role.HIDDEN}


def measure(
    model: ModelConfig,
    layout: Layout,
    recipe: RecipeArrays,
    parameters: Arrays,
    others: tuple[Arrays, Arrays],
    earlier: dict[str, jax.Array],
    vectors: dict[str, jax.Array],
    inputs: jax.Array,
    *,
    together: bool,
) -> tuple[dict[str, jax.Array], Measured]:
    """Return the next measurement's first vectors, and what `Compiled.measure` says is measured.

    Arguments:
      others: multipliers and statistics.
      earlier: the hidden weights one step before.
      vectors: the singular vectors that the last measurement ended with.
      inputs: a few examples.
      together: see `probes.measure_spectrum`.
    """
    # In float32 and by operations of XLA alone, whatever the training is done in.
    apply = stateful_pass(model.plain())

    def forward(parameters: Arrays, others: tuple[Arrays, Arrays], inputs: jax.Array) -> Any:
        return apply(parameters, *others, inputs, training=False)

    found = probes.track_spectrum(
        parameters,
        layout,
        vectors,
        k=RANKS,
        pairs=_PAIRS,
        recipe=recipe,
        together=together,
    )
    gains = sublayer_gains(forward, layout)(parameters, others, inputs)
    measured: Measured = {"spectrum": found.values, "bounds": found.bounds}
    for path, weight in hidden(parameters, layout).items():
        parameter = layout[path]
        sublayer = probes.Sublayer(
            parameter,
            weight,
            earlier[path],
            gain=gains[path],
            largest=found.values[path][..., 0],
            rms=recipe.multiplier(parameter) * probes.weight_rms(weight, parameter),
        )
        for quantity, value in probes.SUBLAYER_QUANTITIES.items():
            measured.setdefault(quantity, {})[path] = value(sublayer)
    return found.vectors, measured

"""Root mean squares of everything in a model, and of its changes by training steps."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from transfer import pytree_paths
from transfer.checks.forward_graph import ForwardGraph
from transfer.checks.model_under_test import ModelUnderTest
from transfer.checks.structure import LOSS, OUTPUT, Structure
from transfer.errors import TransferError
from transfer.scaling import Layout
from transfer.tracing.intermediates import rms, with_intermediates
from transfer.tracing.interpreter import Interpreter, interpret

# A gradient of float32 that is this much smaller than the largest one is rounding.
_ROUNDING = 1e-6
# (quantity, name, step): `change` has step 0 for an infinitesimal step, else how many were taken.
SizeKey = tuple[str, str, int]
MakeOptimizer = Callable[[Layout], optax.GradientTransformation]


@dataclasses.dataclass(frozen=True)
class MeasuredSizes:
    """Root mean squares at one width: per quantity, one number for each seed.

    `terms` says how many terms the sums of each contraction of activations have. `interpreter` and
    `graph` are the forward pass as it was read, `structure` its products by name, and `zeros` the
    parameters that start at zero.
    """

    values: Mapping[SizeKey, list[float]]
    terms: Mapping[str, int]
    structure: Structure
    interpreter: Interpreter
    graph: ForwardGraph
    zeros: frozenset[str]


def measure_sizes(
    model: ModelUnderTest, width: int, seeds: range, steps: int, make_optimizer: MakeOptimizer
) -> MeasuredSizes:
    """Measure a model at one width.

    The loss is sum(c * output) with c standard normal, the same for every width: a residual that
    does not depend on width. Its change is that of the output in the one direction that was asked
    for; the output's own also holds what other inputs and outputs bring along, which in a narrow
    model with many of them is most of it. The change of an infinitesimal step is the directional
    derivative along the optimizer's first update; that of `steps` real ones a difference.

    Raises:
      TransferError: the output is not one array.
    """
    layout = model.layout(width)
    first = model.draw(width, seeds[0])
    interpreter = interpret(first, model.inputs)
    graph = ForwardGraph(first, model.inputs)
    structure = Structure.of(interpreter, layout, graph)
    names = structure.names
    forward: Any = first.forward
    output = jax.eval_shape(forward, first.parameters, first.state, *model.inputs)
    if not isinstance(output, jax.ShapeDtypeStruct):
        raise TransferError(
            f"The forward pass returns {type(output).__name__}; expected one array of outputs, "
            "such as logits."
        )
    probe, optimizer = with_intermediates(forward, names), make_optimizer(layout)

    @jax.jit
    def sizes(parameters: Any, state: Any, key: jax.Array) -> dict[SizeKey, jax.Array]:
        residual = jax.random.normal(key, output.shape) / output.size**0.5

        def observe(parameters: Any) -> dict[str, jax.Array]:
            outputs, intermediates = probe(parameters, state, *model.inputs)
            return {**intermediates, OUTPUT: outputs, LOSS: jnp.sum(residual * outputs)}

        def walk(carry: Any, first: jax.Array) -> tuple[Any, None]:
            parameters, memory, gradient, updates = carry
            now = jax.grad(lambda each: jnp.sum(residual * forward(each, state, *model.inputs)))(
                parameters
            )
            step, memory = optimizer.update(now, memory, parameters)
            # Carry the first step's results along; a separate first step would be compiled twice.
            gradient, updates = jax.tree.map(
                lambda new, old: jnp.where(first, new, old), (now, step), (gradient, updates)
            )
            return (optax.apply_updates(parameters, step), memory, gradient, updates), None

        empty = jax.tree.map(jnp.zeros_like, parameters)
        start = (parameters, optimizer.init(parameters), empty, empty)
        (later, _, gradient, updates), _ = jax.lax.scan(walk, start, jnp.arange(steps) == 0)
        before, changes = jax.jvp(observe, (parameters,), (updates,))
        after = observe(later)
        found: dict[SizeKey, jax.Array] = {}
        for quantity, tree in (("weight", parameters), ("gradient", gradient), ("update", updates)):
            for path, leaf in pytree_paths.leaves(tree).items():
                # A constant init has a size but no law.
                random = quantity != "weight" or jnp.max(leaf) > jnp.min(leaf)
                found[quantity, path, 0] = jnp.where(random, rms(leaf), 0.0)
        for name in before:
            if name != LOSS:
                found["activation", name, 0] = rms(before[name])
            found["change", name, 0] = rms(changes[name])
            found["change", name, steps] = rms(after[name] - before[name])
        return found

    measured = []
    for seed in seeds:
        drawn = first if seed == seeds[0] else model.draw(width, seed)
        measured.append(sizes(drawn.parameters, drawn.state, jax.random.key(seed)))
    values = {key: [float(each[key]) for each in measured] for key in measured[0]}
    for (quantity, path, _), found in values.items():
        # The same vector for every seed, such as slopes of heads, was not drawn: it has no law.
        if quantity == "weight" and layout[path].axes.inputs is None and len(set(found)) == 1:
            found[:] = [0.0] * len(found)
    _drop_rounding(values)
    terms = {names[at]: count for at, count in interpreter.contractions.items()}
    zeros = frozenset(
        path for path, leaf in pytree_paths.leaves(first.parameters).items() if not jnp.any(leaf)
    )
    return MeasuredSizes(values, terms, structure, interpreter, graph, zeros)


def _drop_rounding(values: Mapping[SizeKey, list[float]]) -> None:
    """Set gradients to zero that are nothing but rounding, as of a bias that no softmax sees."""
    gradients = [found for (quantity, *_), found in values.items() if quantity == "gradient"]
    for number in range(len(gradients[0]) if gradients else 0):
        largest = max(found[number] for found in gradients)
        for found in gradients:
            if found[number] < _ROUNDING * largest:
                found[number] = 0.0

"""What a forward pass keeps for the backward pass: as it is traced, and at least."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from transfer import sharding
from transfer.models import TransformerConfig
from transfer.models.layers import PRODUCT
from transfer.plan.program import Program

_PRODUCTS = ("dot_general", "conv_general_dilated")
# Decides for every primitive of a forward pass, in order, whether its results are kept.
_Policy = Callable[..., bool]


def traced_activations(program: Program) -> float:
    """Bytes of a device that grow with the batch among those that the traced forward pass keeps.

    The compiler keeps them among its temporaries, or fewer where it fuses or computes again.
    """
    examples = _examples(program)
    return _on_device(program, _kept(program, 2 * examples) - _kept(program, examples))


def least_activations(program: Program) -> float:
    """Bytes of a device that outlive any forward pass that takes no product twice.

    These are results of products, in the model's dtype, because everything between two products can
    be computed again from them. Results of the last product do not count, because its backward
    pass may follow at once, nor do those of an attention kernel. With `remat="full"`, whose layers
    are computed again, only the layers' inputs count.
    """
    model, examples = program.population.model, _examples(program)
    if getattr(model, "remat", "") != "full":
        counted = _Products()
        _kept(program, 1, counted)
        # A decoder's last product is inside its scores, where it does not show.
        last = 0 if isinstance(model, TransformerConfig) else counted.calls
        return _on_device(program, _kept(program, examples, _Products(but=last)))
    # Stacked over layers, which no other axis is mistaken for with this many examples.
    layers: int = model.layers  # type: ignore[attr-defined]
    inputs = _kept(program, layers + 1, stacked=layers)
    return _on_device(program, inputs * examples / (layers + 1))


class _Products:
    """The policy that keeps products, but for the one of a call with this number."""

    def __init__(self, but: int = 0) -> None:
        self.calls = 0
        self.but = but

    def __call__(self, primitive: Any, *_: Any, **parameters: Any) -> bool:
        # A product with a backward pass of its own shows by the name of its result alone.
        if primitive.name not in _PRODUCTS and parameters.get("name") != PRODUCT:
            return False
        self.calls += 1
        return self.calls != self.but


def _examples(program: Program) -> int:
    """How many examples of a trial pass through a device's model at once."""
    shape = program.population.mesh.shape
    at_a_time = program.batch_size // program.population.training.microbatches
    return math.ceil(at_a_time / (shape[sharding.DATA] * shape[sharding.FSDP]))


def _on_device(program: Program, trial: float) -> float:
    """Bytes of a device at once, from those of a trial's share of the batch."""
    return program.trials_at_once * trial / program.population.mesh.shape[sharding.TENSOR]


def _kept(
    program: Program, examples: int, policy: _Policy | None = None, stacked: int = 0
) -> float:
    """Bytes that a forward pass of so many examples leaves for its gradient.

    A policy keeps others than the model does, and counts each element as large as the model's dtype
    at most. With `stacked`, only arrays with a leading axis of that size count, in the same way.
    """
    population = program.population
    loss = population.task.loss(population.model)
    state = program.arguments[0]
    parameters, multipliers, statistics = (
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)
        for tree in (state.parameters, state.multipliers, state.statistics)
    )
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((examples, *leaf.shape[3:]), leaf.dtype),
        program.arguments[2],
    )

    def backward(parameters: Any, multipliers: Any, statistics: Any, batch: Any) -> Any:
        def forward(parameters: Any) -> Any:
            return loss(parameters, multipliers, statistics, batch, training=True)

        chosen = jax.checkpoint(forward, policy=policy) if policy else forward
        _, back, _ = jax.vjp(chosen, parameters, has_aux=True)
        return back

    jaxpr = jax.make_jaxpr(backward)(parameters, multipliers, statistics, batch).jaxpr
    given = {id(variable) for variable in jaxpr.invars}
    kept = {id(each): each.aval for each in jaxpr.outvars if id(each) not in given}
    if policy is None and not stacked:
        return float(sum(aval.size * aval.dtype.itemsize for aval in kept.values()))
    largest = jnp.dtype(population.model.dtype).itemsize
    return float(
        sum(
            aval.size * min(largest, aval.dtype.itemsize)
            for aval in kept.values()
            if jnp.issubdtype(aval.dtype, jnp.inexact)
            and (not stacked or aval.shape[:1] == (stacked,))
        )
    )

"""The activations inside a forward pass, wherever a weight or an activation meets another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from transfer.tracing import scan
from transfer.tracing.interpreter import Location, called

Taps = dict[str, jax.Array]
# From an equation's place, operands and output to what is kept of it.
Look = Callable[[Location, Sequence[Any], jax.Array], jax.Array]
# What leaves a sublayer's output the same numbers in another place, or all scaled alike.
_MOVES = {"convert_element_type", "reshape", "transpose", "squeeze", "copy", "broadcast_in_dim"}
_SCALES = {"mul", "div"}


def tapped(
    forward: Callable[..., Any], names: Mapping[Location, str], look: Look | None = None
) -> Callable[..., tuple[Any, Taps]]:
    """Return a function with the outputs of `forward` and, by name, those of some equations.

    `names` names equations of the forward pass by location, as `Reader` found them. Where an
    equation's output is scaled by one number afterwards, as attention logits and readouts often
    are, the scaled value is returned. Equations in a scan give one array for all its steps; those
    in loops of unknown length and in branches are left out. The result can be differentiated.
    With a `look`, what it makes of each equation is returned instead, and what comes after the
    equation does not matter.
    """

    def run(*arguments: Any) -> tuple[Any, Taps]:
        closed, shape = jax.make_jaxpr(forward, return_shape=True)(*arguments)
        outputs, taps, _ = _evaluate(
            closed.jaxpr, closed.consts, jax.tree.leaves(arguments), names, look, (), ()
        )
        return jax.tree.unflatten(jax.tree.structure(shape), outputs), taps

    return run


def _evaluate(
    jaxpr: Any,
    constants: Sequence[Any],
    arguments: Sequence[Any],
    names: Mapping[Location, str],
    look: Look | None,
    at: Location,
    carried_in: Sequence[str | None],
) -> tuple[list[Any], Taps, list[str | None]]:
    """Return a jaxpr's outputs, its taps, and which of the outputs is which tap.

    `carried_in` says the same of the arguments, or nothing of any.
    """
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))
    taps: Taps = {}
    followed = {
        variable: name
        for variable, name in zip(jaxpr.invars, carried_in, strict=False)
        if name is not None
    }

    def value(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    def name_of(variable: Any) -> str | None:
        return None if isinstance(variable, core.Literal) else followed.get(variable)

    for index, equation in enumerate(jaxpr.eqns):
        here = (*at, index)
        inputs = [value(variable) for variable in equation.invars]
        # What is split by hand is run as it is: no part of it is whole.
        by_hand = equation.primitive.name == "shard_map"
        body = None if by_hand else called(equation)
        results: list[Any]
        tap_names: list[str | None] = [None] * len(equation.outvars)
        if body is not None:
            inner, inner_constants = getattr(body, "jaxpr", body), getattr(body, "consts", ())
            known = [name_of(variable) for variable in equation.invars]
            results, found, tap_names = _evaluate(
                inner, inner_constants, inputs, names, look, here, known
            )
            taps |= found
        elif equation.primitive.name == "scan":
            results, found = _scan(equation, inputs, names, look, here)
            taps |= found
        else:
            bound = equation.primitive.bind(
                *inputs, **equation.primitive.get_bind_params(equation.params)
            )
            results = list(bound) if equation.primitive.multiple_results else [bound]
            if here in names and look is not None:
                taps[names[here]] = look(here, inputs, results[0])
            elif here in names:
                tap_names = [names[here]]
            elif equation.primitive.name in _MOVES | _SCALES:
                tap_names = [_carried(equation, inputs, name_of)]
            for name, result in zip(tap_names, results, strict=True):
                if name is not None:
                    taps[name] = result
        values.update(zip(equation.outvars, results, strict=True))
        for variable, name in zip(equation.outvars, tap_names, strict=True):
            if name is not None:
                followed[variable] = name
    outputs = [value(variable) for variable in jaxpr.outvars]
    return outputs, taps, [name_of(variable) for variable in jaxpr.outvars]


def _carried(
    equation: Any, inputs: Sequence[Any], name_of: Callable[[Any], str | None]
) -> str | None:
    """The tap whose numbers an equation moves, or multiplies by one number."""
    first, *others = equation.invars
    if not others:
        return name_of(first)
    (other,) = others
    if np.size(inputs[1]) == 1 and name_of(first):
        return name_of(first)
    scaled = equation.primitive.name == "mul" and np.size(inputs[0]) == 1
    return name_of(other) if scaled else None


def _scan(
    equation: Any,
    inputs: Sequence[Any],
    names: Mapping[Location, str],
    look: Look | None,
    at: Location,
) -> tuple[list[Any], Taps]:
    parameters = equation.params
    fixed, carried = scan.inputs(equation)
    body = parameters["jaxpr"]

    def step(carry: Any, slices: Any) -> tuple[Any, Any]:
        arguments = [*inputs[:fixed], *carry, *slices]
        outputs, taps, _ = _evaluate(body.jaxpr, body.consts, arguments, names, look, at, ())
        return outputs[:carried], (outputs[carried:], taps)

    carry, (stacked, taps) = jax.lax.scan(
        step,
        list(inputs[fixed : fixed + carried]),
        list(inputs[fixed + carried :]),
        length=parameters["length"],
        reverse=parameters["reverse"],
    )
    return [*carry, *stacked], taps


def rms(array: jax.Array) -> jax.Array:
    """Root of the mean square, in float32 or better."""
    array = array.astype(jnp.promote_types(array.dtype, jnp.float32))
    return jnp.sqrt(jnp.mean(jnp.square(array)))

"""Activations inside a forward pass: taken at chosen equations, or measured where they are made."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from transfer.precision import precise
from transfer.scaling import Layout, Role
from transfer.tracing.interpreter import interpret
from transfer.tracing.jaxprs import Location, called_jaxpr, scan_inputs
from transfer.tracing.user_model import UserModel

Intermediates = dict[str, jax.Array]
# Takes an equation's location, operands and output; returns what is kept of it.
Measure = Callable[[Location, Sequence[Any], jax.Array], jax.Array]
# Primitives that only move the numbers of an output, and those that may scale all of them alike.
_MOVES = {
    "convert_element_type",
    "name",
    "reshape",
    "transpose",
    "squeeze",
    "copy",
    "broadcast_in_dim",
}
_SCALES = {"mul", "div"}


def with_intermediates(
    forward: Callable[..., Any], names: Mapping[Location, str], measure: Measure | None = None
) -> Callable[..., tuple[Any, Intermediates]]:
    """Return a function with the outputs of `forward` and, by name, those of chosen equations.

    `names` gives names to equations of the forward pass by location, as `Interpreter` records them.
    If an equation's output is afterwards scaled by one number, as attention logits and readouts
    often are, the scaled value is returned. An equation in a scan gives one array for all steps;
    equations in loops of unknown length and in branches are left out. The result can be
    differentiated. With a `measure`, its result at each equation is returned instead, whatever
    follows the equation.
    """

    def run(*arguments: Any) -> tuple[Any, Intermediates]:
        closed, shape = jax.make_jaxpr(forward, return_shape=True)(*arguments)
        outputs, intermediates, _ = _evaluate(
            closed.jaxpr, closed.consts, jax.tree.leaves(arguments), names, measure, (), ()
        )
        return jax.tree.unflatten(jax.tree.structure(shape), outputs), intermediates

    return run


def _evaluate(
    jaxpr: Any,
    constants: Sequence[Any],
    arguments: Sequence[Any],
    names: Mapping[Location, str],
    measure: Measure | None,
    at: Location,
    carried_in: Sequence[str | None],
) -> tuple[list[Any], Intermediates, list[str | None]]:
    """Return a jaxpr's outputs, its intermediates, and the name of the intermediate in each output.

    `carried_in` holds the same names for the arguments, or is empty.
    """
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))
    intermediates: Intermediates = {}
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
        # Inside a shard_map every array is a shard, so its body is run without looking inside.
        sharded = equation.primitive.name == "shard_map"
        body = None if sharded else called_jaxpr(equation)
        results: list[Any]
        labels: list[str | None] = [None] * len(equation.outvars)
        if body is not None:
            inner, inner_constants = getattr(body, "jaxpr", body), getattr(body, "consts", ())
            known = [name_of(variable) for variable in equation.invars]
            results, found, labels = _evaluate(
                inner, inner_constants, inputs, names, measure, here, known
            )
            intermediates |= found
        elif equation.primitive.name == "scan":
            results, found = _scan(equation, inputs, names, measure, here)
            intermediates |= found
        else:
            bound = equation.primitive.bind(
                *inputs, **equation.primitive.get_bind_params(equation.params)
            )
            results = list(bound) if equation.primitive.multiple_results else [bound]
            if here in names and measure is not None:
                intermediates[names[here]] = measure(here, inputs, results[0])
            elif here in names:
                labels = [names[here]]
            elif equation.primitive.name in _MOVES | _SCALES:
                labels = [_carried(equation, inputs, name_of)]
            for name, result in zip(labels, results, strict=True):
                if name is not None:
                    intermediates[name] = result
        values.update(zip(equation.outvars, results, strict=True))
        for variable, name in zip(equation.outvars, labels, strict=True):
            if name is not None:
                followed[variable] = name
    outputs = [value(variable) for variable in jaxpr.outvars]
    return outputs, intermediates, [name_of(variable) for variable in jaxpr.outvars]


def _carried(
    equation: Any, inputs: Sequence[Any], name_of: Callable[[Any], str | None]
) -> str | None:
    """Return the name of the intermediate that an equation moves, or multiplies by one number."""
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
    measure: Measure | None,
    at: Location,
) -> tuple[list[Any], Intermediates]:
    parameters = equation.params
    fixed, carried = scan_inputs(equation)
    body = parameters["jaxpr"]

    def step(carry: Any, slices: Any) -> tuple[Any, Any]:
        arguments = [*inputs[:fixed], *carry, *slices]
        outputs, intermediates, _ = _evaluate(
            body.jaxpr, body.consts, arguments, names, measure, at, ()
        )
        return outputs[:carried], (outputs[carried:], intermediates)

    carry, (stacked, intermediates) = jax.lax.scan(
        step,
        list(inputs[fixed : fixed + carried]),
        list(inputs[fixed + carried :]),
        length=parameters["length"],
        reverse=parameters["reverse"],
    )
    return [*carry, *stacked], intermediates


def rms(array: jax.Array) -> jax.Array:
    """Root of the mean square, in float32 or better."""
    return jnp.sqrt(jnp.mean(jnp.square(precise(array))))


def sublayer_gains(
    forward: Callable[..., Any], layout: Layout
) -> Callable[..., dict[str, jax.Array]]:
    """Return a function with the gains of all hidden weights in a forward pass, by path.

    The gain is rms(outputs) / rms(inputs) of the product in which a weight meets the activations,
    over all examples and positions; a weight in a scan has one gain for each step (layers,).
    Products are found by interpreting the forward pass, and sizes are taken where they are made, so
    that no activation is kept. A weight that is used twice is measured at its first use. A
    multiplier that scales the output after the product is not part of the gain.

    Arguments:
      forward: forward(parameters, state, *inputs), as the function that is returned; the
        parameters have the layout's paths.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> kernel = lambda n: {"up": Annotated(axes=Axes.parse("embed -> ffn"), shape=(n, n))}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(2))
      >>> gains = sublayer_gains(lambda tree, state, x: jnp.tanh(x @ tree["up"]), layout)
      >>> print(gains({"up": 3 * jnp.eye(2)}, (), jnp.ones((5, 2)))["up"])
      3.0
    """

    def run(parameters: Any, state: Any, *inputs: Any) -> dict[str, jax.Array]:
        interpreter = interpret(UserModel(parameters, state, forward), inputs)
        names: dict[Location, str] = {}
        for at, met in sorted(interpreter.products.items()):
            path = min(met)
            hidden = len(met) == 1 and layout[path].role == Role.HIDDEN
            if hidden and path not in names.values():
                names[at] = path

        def gain(at: Location, operands: Any, output: jax.Array) -> jax.Array:
            return rms(output) / rms(operands[interpreter.activations[at]])

        _, gains = with_intermediates(forward, names, gain)(parameters, state, *inputs)
        return gains

    return run

"""What each of JAX's primitives does to the axes of a weight.

A rule takes the interpreter, the equation, the values of its inputs and its location, and returns
the values of its outputs.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from transfer.tracing.abstract_values import (
    NONE,
    Labels,
    Other,
    Value,
    Weight,
    join,
    merge,
    reshape,
)
from transfer.tracing.axis_uses import Kind
from transfer.tracing.jaxprs import Location, scan_inputs

DATA = Other(data=True)
_ANOTHER_PARAMETER = "it is multiplied with another parameter before it meets the inputs"


class Observer(Protocol):
    """What a rule needs of the interpreter: to record uses of weights, and to run nested jaxprs."""

    def product(self, weight: Weight, kinds: Sequence[Kind], at: Location) -> None:
        """Record that a weight meets the inputs, and what becomes of each of its axes."""

    def contraction(self, terms: int, at: Location) -> None:
        """Record that two activations are contracted with each other."""

    def gone(self, labels: Labels, kind: Kind) -> None:
        """Record that an axis leaves an array before the array meets the inputs."""

    def obstruct(self, weight: Weight, reason: str) -> None:
        """Record why the forward pass does not tell the role of a weight."""

    def replaced(self, before: Sequence[Value], after: Sequence[Value], at: Location) -> None:
        """Record weights whose place is taken by activations, as with a learned initial state."""

    def run(self, jaxpr: Any, inputs: Sequence[Value], at: Location) -> list[Value]:
        """Return the values of a jaxpr's outputs, given those of its inputs."""

    def fixed_point(
        self, body: Any, constants: Sequence[Value], carry: Sequence[Value], at: Location
    ) -> list[Value]:
        """Return the values of a loop's carry that a further step leaves unchanged."""


def without_weights(equation: Any, values: Sequence[Other]) -> list[Value]:
    """Return the outputs of any primitive whose inputs hold no parameter."""
    data = any(value.data for value in values)
    several = equation.primitive.name in ("iota", "concatenate")
    broadcast = all(value.scalar for value in values) and not several
    return [
        Other(data=data, scalar=not variable.aval.shape or (broadcast and bool(values)))
        for variable in equation.outvars
    ]


def elementwise(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    """Apply the rule of primitives that broadcast; any other hides how a weight is used."""
    weights = [value for value in values if isinstance(value, Weight)]
    data = any(isinstance(value, Other) and value.data and not value.scalar for value in values)
    shape = equation.outvars[0].aval.shape
    alike = all(
        _broadcasts(variable.aval.shape, shape)
        for variable, value in zip(equation.invars, values, strict=True)
        if isinstance(value, Weight) or not value.scalar
    ) and all(variable.aval.shape == shape for variable in equation.outvars)
    if not alike:
        for weight in weights:
            observer.obstruct(
                weight, f"it goes through {equation.primitive.name} before it meets the inputs"
            )
        return [Other(data=data) for _ in equation.outvars]
    if data:
        for weight in weights:
            observer.product(weight, [Kind.KEPT] * len(weight.axes), at)
        return [DATA for _ in equation.outvars]
    full = [weight for weight in weights if len(weight.axes) == len(shape)]
    return [merge(full) if full else Other(data=False) for _ in equation.outvars]


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return not shape or (
        len(shape) == len(target)
        and all(size in (1, full) for size, full in zip(shape, target, strict=True))
    )


# Products: contractions, convolutions and lookups.


def _dot_general(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    contracted, batched = equation.params["dimension_numbers"]
    sides = [
        (value, contracting, batching, variable.aval.ndim)
        for value, contracting, batching, variable in zip(
            values, contracted, batched, equation.invars, strict=True
        )
    ]
    parameters = [value for value in values if isinstance(value, Weight) and not value.looked_up]
    if len(parameters) == 2:
        for weight in parameters:
            observer.obstruct(weight, _ANOTHER_PARAMETER)
        return _free_axes(sides)
    for value, contracting, batching, ndim in sides:
        if isinstance(value, Weight):
            kinds = [
                Kind.IN if axis in contracting else Kind.BATCH if axis in batching else Kind.OUT
                for axis in range(ndim)
            ]
            # A row of a table of positions is an activation: it enters here as it was looked up.
            kept = value.looked_up and len(parameters) == 1
            observer.product(value, [Kind.KEPT] * ndim if kept else kinds, at)
    if not parameters and all(isinstance(value, Other) and value.data for value in values):
        shape = equation.invars[0].aval.shape
        observer.contraction(math.prod(shape[axis] for axis in contracted[0]), at)
    data = any(isinstance(value, Weight) or value.data for value in values)
    return Other(data=data, scalar=not equation.outvars[0].aval.shape)


def _free_axes(sides: Sequence[tuple[Value, Any, Any, int]]) -> Weight:
    axes: list[Labels] = []
    for value, contracting, batching, ndim in sides:
        assert isinstance(value, Weight)
        if not axes:
            axes += [value.axes[axis] for axis in batching]
        free = [axis for axis in range(ndim) if axis not in (*contracting, *batching)]
        axes += [value.axes[axis] for axis in free]
    return Weight(tuple(axes))


def _convolution(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    image, kernel = values
    if isinstance(image, Weight):
        observer.obstruct(image, "it is convolved like an input")
    if isinstance(kernel, Weight):
        spec = equation.params["dimension_numbers"].rhs_spec
        kinds = [Kind.OUT if axis == spec[0] else Kind.IN for axis in range(len(kernel.axes))]
        observer.product(kernel, kinds, at)
    return Other(data=any(isinstance(value, Weight) or value.data for value in values))


def _gather(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    table, indices = values
    if isinstance(indices, Weight):
        observer.obstruct(indices, "it is used as an index")
    by_data = isinstance(indices, Weight) or indices.data
    if not isinstance(table, Weight):
        return Other(data=table.data or by_data)
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    source, index_shape = equation.invars[0].aval.shape, equation.invars[1].aval.shape
    removed = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    indexed = {
        axis for axis in numbers.start_index_map if sizes[axis] < source[axis] or axis in removed
    }
    if by_data:
        observer.product(
            table,
            [
                Kind.IN if axis in indexed
                else Kind.BATCH if axis in numbers.operand_batching_dims
                else Kind.OUT
                for axis in range(len(source))
            ],
            at,
        )  # fmt: skip
        return DATA
    several = math.prod(index_shape[:-1]) > 1
    for axis in indexed:
        observer.gone(table.axes[axis], Kind.LOOKED_UP if several else Kind.STACKED)
    rows = NONE.union(*(table.axes[axis] for axis in indexed)) if several else NONE
    offsets = iter([axis for axis in range(len(source)) if axis not in removed])
    axes = [
        table.axes[next(offsets)] if place in numbers.offset_dims else rows
        for place in range(equation.outvars[0].aval.ndim)
    ]
    return Weight(tuple(axes), looked_up=several or table.looked_up)


# Primitives that only move, drop or rename axes.


def _moved(axes: Callable[[Any, Weight], Sequence[Labels]]) -> Callable[..., list[Value]]:
    def rule(
        observer: Observer, equation: Any, values: Sequence[Value], at: Location
    ) -> list[Value]:
        weight = values[0]
        if not isinstance(weight, Weight):
            return elementwise(observer, equation, values, at)
        return [Weight(tuple(axes(equation, weight)), weight.looked_up) for _ in equation.outvars]

    return rule


def _broadcast(equation: Any, weight: Weight) -> list[Labels]:
    axes = [NONE] * equation.outvars[0].aval.ndim
    for axis, place in enumerate(equation.params["broadcast_dimensions"]):
        axes[place] = weight.axes[axis]
    return axes


def _reshape(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    weight = values[0]
    assert isinstance(weight, Weight)
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    axes = reshape(weight.axes, old, new)
    kept = NONE.union(*axes)
    for labels, size in zip(weight.axes, old, strict=True):
        if size == 1:
            observer.gone(labels - kept, Kind.STACKED)
    return [Weight(tuple(axes), weight.looked_up)]


def _dropping(kind: Kind, parameter: str) -> Callable[..., list[Value]]:
    def rule(
        observer: Observer, equation: Any, values: Sequence[Value], at: Location
    ) -> list[Value]:
        weight, dropped = values[0], equation.params[parameter]
        dropped = (dropped,) if isinstance(dropped, int) else dropped
        assert isinstance(weight, Weight)
        for axis in dropped:
            observer.gone(weight.axes[axis], kind)
        axes = [labels for axis, labels in enumerate(weight.axes) if axis not in dropped]
        left = Weight(tuple(axes), weight.looked_up)
        return [left if left.paths else Other(data=False, scalar=not axes)] * len(equation.outvars)

    return rule


def _dynamic_slice(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    table, *indices = values
    by_data = any(isinstance(index, Weight) or index.data for index in indices)
    if not isinstance(table, Weight):
        return [DATA]
    if not by_data:
        return [table]
    source, sizes = equation.invars[0].aval.shape, equation.params["slice_sizes"]
    kinds = [Kind.IN if size < full else Kind.OUT for full, size in zip(source, sizes, strict=True)]
    observer.product(table, kinds, at)
    return [DATA]


def _concatenate(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    weights = [value for value in values if isinstance(value, Weight)]
    if any(isinstance(value, Other) and value.data for value in values):
        for weight in weights:
            observer.product(weight, [Kind.KEPT] * len(weight.axes), at)
        return [DATA]
    return [merge(weights)]


def _barrier(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    return list(values)


# Control flow.


def _scan(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> list[Value]:
    constants, count = scan_inputs(equation)
    carried = constants + count
    slices: list[Value] = []
    for value in values[carried:]:
        if isinstance(value, Weight):
            observer.gone(value.axes[0], Kind.STACKED)
            value = Weight(value.axes[1:], value.looked_up)
            value = value if value.paths else Other(data=False, scalar=not value.axes)
        slices.append(value)
    body = equation.params["jaxpr"]
    reordered = _with_carry_last(body, constants, carried)
    carry = observer.fixed_point(
        reordered, [*values[:constants], *slices], values[constants:carried], at
    )
    results = observer.run(body, [*values[:constants], *carry, *slices], at)
    stacked = [
        Weight((NONE, *value.axes), value.looked_up) if isinstance(value, Weight) else value
        for value in results[carried - constants :]
    ]
    return [*carry, *stacked]


def _with_carry_last(body: Any, constants: int, carried: int) -> Any:
    jaxpr = body.jaxpr
    order = [*jaxpr.invars[:constants], *jaxpr.invars[carried:], *jaxpr.invars[constants:carried]]
    return jaxpr.replace(invars=order)


def _while(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> list[Value]:
    tests, constants = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    fixed = values[tests : tests + constants]
    body = equation.params["body_jaxpr"]
    carry = observer.fixed_point(body, fixed, values[tests + constants :], at)
    observer.run(equation.params["cond_jaxpr"], [*values[:tests], *carry], (*at, 0))
    observer.run(body, [*fixed, *carry], (*at, 1))
    return carry


def _cond(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> list[Value]:
    results = [
        observer.run(branch, values[1:], (*at, index))
        for index, branch in enumerate(equation.params["branches"])
    ]
    joined = [functools.reduce(join, values) for values in zip(*results, strict=True)]
    for result in results:
        observer.replaced(result, joined, at)
    return joined


Rule = Callable[..., Any]

PRODUCTS: dict[str, Rule] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "gather": _gather,
}

SHAPES: dict[str, Rule] = {
    "transpose": _moved(lambda eq, weight: [weight.axes[i] for i in eq.params["permutation"]]),
    "broadcast_in_dim": _moved(_broadcast),
    "slice": _moved(lambda eq, weight: weight.axes),
    "split": _moved(lambda eq, weight: weight.axes),
    "pad": _moved(lambda eq, weight: weight.axes),
    "reshape": _reshape,
    "squeeze": _dropping(Kind.STACKED, "dimensions"),
    "unstack": _dropping(Kind.STACKED, "axis"),
    "dynamic_slice": _dynamic_slice,
    "concatenate": _concatenate,
    "optimization_barrier": _barrier,
    **{
        f"reduce_{name}": _dropping(Kind.LOST, "axes")
        for name in ("sum", "max", "min", "prod", "and", "or")
    },
}

CONTROL: dict[str, Rule] = {"scan": _scan, "while": _while, "cond": _cond}

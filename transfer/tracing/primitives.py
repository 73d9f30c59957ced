"""What each of JAX's primitives does to the axes of a weight.

A rule takes the interpreter, the equation, the values of its inputs and its location, and returns
the values of its outputs.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from transfer.tracing.abstract_values import (
    NONE,
    Labels,
    Other,
    Value,
    Weight,
    activation,
    join,
    merge,
    merged,
    reshape,
)
from transfer.tracing.axis_uses import Kind
from transfer.tracing.jaxprs import Location, scan_inputs
from transfer.tracing.observer import Observer
from transfer.tracing.produced_axes import produced_axes

DATA = Other(data=True)
# Primitives whose output is a linear function of each input, or of the first alone.
_LINEAR = {"add", "add_any", "sub", "mul", "neg", "concatenate", "select_n", "optimization_barrier"}
_LINEAR_IN_FIRST = {
    *("div", "convert_element_type", "reduce_precision", "reduce_sum", "copy", "reshape", "rev"),
    *("transpose", "squeeze", "broadcast_in_dim", "slice", "split", "unstack", "tile", "pad"),
    *("dynamic_slice", "gather"),
}
# Primitives whose every output entry depends on many of the input's, though the shape may stay.
_MIXING = {
    *("fft", "cholesky", "triangular_solve", "householder_product", "geqrf", "qr", "lu", "svd"),
    *("eig", "eigh", "schur", "hessenberg", "tridiagonal", "custom_linear_solve"),
}


def without_weights(observer: Observer, equation: Any, values: Sequence[Other]) -> list[Value]:
    """Return the outputs of any primitive whose inputs hold no parameter."""
    name = equation.primitive.name
    data = any(value.data for value in values)
    several = name in ("iota", "concatenate")
    broadcast = all(value.scalar for value in values) and not several
    for sizes in _parts(equation):
        observer.split(frozenset().union(*(value.linear_in for value in values)), sizes)
    found = kept_of(equation, values)
    return [
        Other(
            data=data,
            scalar=not variable.aval.shape or (broadcast and bool(values)),
            linear_in=found.linear_in,
            joined=found.joined,
            # Outputs of another rank, such as vectors beside eigenvalues, have axes of their own.
            produced=found.produced if len(variable.aval.shape) == len(found.produced) else (),
        )
        for variable in equation.outvars
    ]


def kept_of(equation: Any, values: Sequence[Value]) -> Other:
    """What an output still is of the products before it, unless it is one itself."""
    name = equation.primitive.name
    linear = values if name in _LINEAR else values[:1] if name in _LINEAR_IN_FIRST else ()
    joined = activation(values).joined
    joined |= _joined_parts(equation)
    return dataclasses.replace(
        activation(linear), joined=joined, produced=produced_axes(equation, values)
    )


def _joined_parts(equation: Any) -> frozenset[tuple[int, ...]]:
    """The sizes of the parts that an equation puts together along an axis, for each such axis."""
    name = equation.primitive.name
    shapes = [variable.aval.shape for variable in equation.invars]
    whole = equation.outvars[0].aval.shape
    if name == "concatenate":
        return frozenset({tuple(shape[equation.params["dimension"]] for shape in shapes)})
    if name == "pad":
        part = shapes[0]
    elif name == "dynamic_update_slice":
        part = shapes[1]
    elif name == "scatter" and len(shapes[2]) == len(whole):
        part = shapes[2]
    else:
        return frozenset()
    sizes = zip(part, whole, strict=True)
    return frozenset((size, full - size) for size, full in sizes if 0 < size < full)


def _parts(equation: Any) -> list[tuple[int, ...]]:
    """The sizes of the parts into which an equation takes its operand, for each axis it cuts."""
    if equation.primitive.name == "split":
        return [tuple(map(int, equation.params["sizes"]))]
    if equation.primitive.name != "slice":
        return []
    full, part = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    return [(size, whole - size) for whole, size in zip(full, part, strict=True) if size != whole]


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
    if not alike or equation.primitive.name in _MIXING:
        for weight in weights:
            observer.obstruct(
                weight, f"it goes through {equation.primitive.name} before it meets the inputs"
            )
        return [Other(data=data) for _ in equation.outvars]
    if data:
        for weight in weights:
            observer.product(weight, [Kind.KEPT] * len(weight.axes), at)
        return [kept_of(equation, values) for _ in equation.outvars]
    full = [
        _expanded(observer, value, variable.aval.shape, shape)
        for variable, value in zip(equation.invars, values, strict=True)
        if isinstance(value, Weight) and len(value.axes) == len(shape)
    ]
    return [merge(full) if full else Other(data=False) for _ in equation.outvars]


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return not shape or (
        len(shape) == len(target)
        and all(size in (1, full) for size, full in zip(shape, target, strict=True))
    )


# Primitives that only move, drop or rename axes.


def _moved(axes: Callable[[Any, Weight], Sequence[Labels]]) -> Callable[..., list[Value]]:
    def rule(
        observer: Observer, equation: Any, values: Sequence[Value], at: Location
    ) -> list[Value]:
        weight = values[0]
        if not isinstance(weight, Weight):
            return elementwise(observer, equation, values, at)
        for sizes in _parts(equation):
            observer.split(weight.paths, sizes)
        return [weight.along(axes(equation, weight)) for _ in equation.outvars]

    return rule


def _broadcast(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    weight = values[0]
    assert isinstance(weight, Weight)
    shape = equation.outvars[0].aval.shape
    axes, sizes = [NONE] * len(shape), [1] * len(shape)
    for axis, place in enumerate(equation.params["broadcast_dimensions"]):
        axes[place], sizes[place] = weight.axes[axis], equation.invars[0].aval.shape[axis]
    return [_expanded(observer, weight.along(axes), sizes, shape)]


def _expanded(observer: Observer, weight: Weight, old: Sequence[int], new: Sequence[int]) -> Weight:
    """Repeat a weight along axes of one entry, which then are no axes of its own any more.

    The size of a batch of one tells nothing.
    """
    grown = [size > was for was, size in zip(old, new, strict=True)]
    if not any(grown):
        return weight
    for labels, repeats in zip(weight.axes, grown, strict=True):
        if repeats:
            observer.gone(labels, Kind.STACKED)
    axes = [NONE if repeats else labels for labels, repeats in zip(weight.axes, grown, strict=True)]
    return dataclasses.replace(weight.along(axes), repeated=True)


def _tile(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> list[Value]:
    weight = values[0]
    assert isinstance(weight, Weight)
    repeated = any(count > 1 for count in equation.params["reps"])
    return [dataclasses.replace(weight, repeated=weight.repeated or repeated)]


def _reshape(
    observer: Observer, equation: Any, values: Sequence[Value], at: Location
) -> list[Value]:
    weight = values[0]
    assert isinstance(weight, Weight)
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    # A reshape may transpose before it, as that of a kernel under `vmap` does.
    order = equation.params["dimensions"] or range(len(old))
    before, old = [weight.axes[i] for i in order], [old[i] for i in order]
    axes = reshape(before, old, new)
    kept = NONE.union(*axes)
    for labels, size in zip(before, old, strict=True):
        if size == 1:
            observer.gone(labels - kept, Kind.STACKED)
    leading = (*weight.leading, *merged(before, old, new))
    return [dataclasses.replace(weight.along(axes), leading=leading)]


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
        left = weight.along(axes)
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
        return [kept_of(equation, values)]
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
            value = value.along(value.axes[1:])
            value = value if value.paths else Other(data=False, scalar=not value.axes)
        else:
            value = dataclasses.replace(value, produced=value.produced[1:])
        slices.append(value)
    body = equation.params["jaxpr"]
    reordered = _with_carry_last(body, constants, carried)
    carry = observer.fixed_point(
        reordered, [*values[:constants], *slices], values[constants:carried], at
    )
    results = observer.run(body, [*values[:constants], *carry, *slices], at)
    return [*carry, *(_stacked(value) for value in results[carried - constants :])]


def _stacked(value: Value) -> Value:
    if isinstance(value, Weight):
        return value.along((NONE, *value.axes))
    produced = (NONE, *value.produced) if value.produced else ()
    return dataclasses.replace(value, produced=produced)


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

SHAPES: dict[str, Rule] = {
    "transpose": _moved(lambda eq, weight: [weight.axes[i] for i in eq.params["permutation"]]),
    "broadcast_in_dim": _broadcast,
    "tile": _tile,
    "rev": _moved(lambda eq, weight: weight.axes),
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

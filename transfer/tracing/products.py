"""What contractions, convolutions and lookups do to the axes of a weight."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from transfer.tracing.abstract_values import NONE, Labels, Other, Value, Weight
from transfer.tracing.axis_uses import Kind
from transfer.tracing.jaxprs import Location
from transfer.tracing.observer import Observer
from transfer.tracing.primitives import DATA, Rule, kept_of

ANOTHER_PARAMETER = "it is multiplied with another parameter before it meets the inputs"


@dataclasses.dataclass(frozen=True)
class _Side:
    """One operand of a contraction, and what becomes of its axes."""

    value: Value
    contracting: tuple[int, ...]
    batching: tuple[int, ...]
    ndim: int

    @property
    def kinds(self) -> list[Kind]:
        return [
            Kind.IN if axis in self.contracting
            else Kind.BATCH if axis in self.batching
            else Kind.OUT
            for axis in range(self.ndim)
        ]  # fmt: skip

    @property
    def produced(self) -> list[Labels]:
        """The labels of its axes in what a product gives: those that it brings or had before."""
        if isinstance(self.value, Other):
            return list(self.value.produced) or [NONE] * self.ndim
        return [
            labels if kind == Kind.OUT else NONE
            for labels, kind in zip(self.value.axes, self.kinds, strict=True)
        ]

    @property
    def free(self) -> list[int]:
        return [axis for axis in range(self.ndim) if self.kinds[axis] == Kind.OUT]


def _dot_general(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    contracted, batched = equation.params["dimension_numbers"]
    one, other = (
        _Side(value, tuple(contracting), tuple(batching), variable.aval.ndim)
        for value, contracting, batching, variable in zip(
            values, contracted, batched, equation.invars, strict=True
        )
    )
    matrices = [
        side.value
        for side, against in ((one, other), (other, one))
        if isinstance(side.value, Weight) and not _is_activation(side, against)
    ]
    if len(matrices) == 2:
        for weight in matrices:
            observer.obstruct(weight, ANOTHER_PARAMETER)
        return _free_axes((one, other))
    for side, against in ((one, other), (other, one)):
        if isinstance(side.value, Weight):
            # A row of a table of positions, or a query that is broadcast over the batch, is an
            # activation: it enters here as it was looked up or broadcast.
            kept = bool(matrices) and side.value is not matrices[0]
            kinds = [Kind.KEPT] * side.ndim if kept else side.kinds
            observer.product(side.value, kinds, at, against.value)
    data = any(isinstance(value, Weight) or value.data for value in values)
    if all(isinstance(value, Other) and value.data for value in values):
        shape = equation.invars[0].aval.shape
        terms = math.prod(shape[axis] for axis in one.contracting)
        pairs = zip(one.contracting, other.contracting, strict=True)
        observer.contraction(terms, at, [(one.produced[a], other.produced[b]) for a, b in pairs])
    shared = zip(one.batching, other.batching, strict=True)
    produced = (
        *(one.produced[a] | other.produced[b] for a, b in shared),
        *(side.produced[axis] for side in (one, other) for axis in side.free),
    )
    return Other(
        data=data,
        scalar=not equation.outvars[0].aval.shape,
        linear_in=frozenset().union(*(weight.paths for weight in matrices)),
        produced=produced if any(produced) else (),
    )


def _is_activation(side: _Side, against: _Side) -> bool:
    """Whether a weight takes an activation's place in a contraction."""
    if not isinstance(side.value, Weight):
        return True
    if side.value.looked_up:
        return True
    if not side.value.repeated or not isinstance(against.value, Weight):
        return False
    # A matrix that was repeated for each weight of a stack is a matrix still.
    return not any(
        against.value.axes[theirs] and not side.value.axes[ours]
        for ours, theirs in zip(side.batching, against.batching, strict=True)
    )


def _free_axes(sides: Sequence[_Side]) -> Weight:
    axes: list[Labels] = []
    for side in sides:
        assert isinstance(side.value, Weight)
        if not axes:
            axes += [side.value.axes[axis] for axis in side.batching]
        axes += [side.value.axes[axis] for axis in side.free]
    return Weight(tuple(axes))


def _ragged_dot(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    """A product of each group of rows with a matrix of its own, as mixtures of experts take it."""
    rows, stack, sizes = values
    numbers = equation.params["ragged_dot_dimension_numbers"]
    (_, contracted), (_, batched) = numbers.dot_dimension_numbers
    if isinstance(rows, Weight) and not (rows.looked_up or rows.repeated):
        observer.obstruct(rows, ANOTHER_PARAMETER)
    if isinstance(sizes, Weight):
        observer.obstruct(sizes, "it says how many rows a group has")
    if isinstance(stack, Weight):
        kinds = [
            Kind.IN if axis in contracted
            else Kind.BATCH if axis in (*batched, *numbers.rhs_group_dimensions)
            else Kind.OUT
            for axis in range(len(stack.axes))
        ]  # fmt: skip
        observer.product(stack, kinds, at, rows)
        produced = (NONE, *(stack.axes[i] for i, kind in enumerate(kinds) if kind == Kind.OUT))
        whole = len(produced) == len(equation.outvars[0].aval.shape)
        return Other(data=True, linear_in=stack.paths, produced=produced if whole else ())
    return DATA


def _convolution(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    image, kernel = values
    numbers = equation.params["dimension_numbers"]
    if isinstance(image, Weight):
        observer.obstruct(image, "it is convolved like an input")
    if not isinstance(kernel, Weight):
        return Other(data=isinstance(image, Weight) or image.data or kernel.data)
    out, channels, *_ = numbers.rhs_spec
    kinds = [Kind.OUT if axis == out else Kind.IN for axis in range(len(kernel.axes))]
    observer.product(kernel, kinds, at, image)
    if equation.params["feature_group_count"] > 1:
        observer.grouped(kernel, out, channels, equation.params["feature_group_count"])
    if equation.params["batch_group_count"] > 1:
        observer.obstruct(kernel, "a convolution takes the batch in groups")
    produced = [NONE] * len(kernel.axes)
    produced[numbers.out_spec[1]] = kernel.axes[out]
    return Other(data=True, linear_in=kernel.paths, produced=tuple(produced))


def _gather(observer: Observer, equation: Any, values: Sequence[Value], at: Location) -> Value:
    table, indices = values
    if isinstance(indices, Weight):
        observer.obstruct(indices, "it is used as an index")
    by_data = isinstance(indices, Weight) or indices.data
    if not isinstance(table, Weight):
        return dataclasses.replace(kept_of(equation, values), data=table.data or by_data)
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
    return dataclasses.replace(table.along(axes), looked_up=several or table.looked_up)


PRODUCTS: dict[str, Rule] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "gather": _gather,
    "ragged_dot_general": _ragged_dot,
}

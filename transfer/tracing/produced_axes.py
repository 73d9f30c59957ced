"""Which axes of an activation run along the outputs of which weights, through any primitive."""

from collections.abc import Callable, Sequence
from typing import Any

from transfer.tracing.abstract_values import NONE, Labels, Other, Value, reshape, union

Axes = tuple[Labels, ...]


def produced_axes(equation: Any, values: Sequence[Value]) -> Axes:
    """Return the labels of an output's axes, given those of the activations that it is made of.

    What is not known to move axes keeps them where an operand has as many as the output, and has
    none otherwise.
    """
    name = equation.primitive.name
    rank = len(equation.outvars[0].aval.shape)
    found: Axes = ()
    for place, (variable, value) in enumerate(zip(equation.invars, values, strict=True)):
        if not isinstance(value, Other) or not any(value.produced):
            continue
        shape = variable.aval.shape
        if name in _MOVES:
            axes = _MOVES[name](equation, value.produced, shape) if place == 0 else ()
        else:
            axes = value.produced if len(shape) == rank else ()
        found = union(found, axes)
    return found


def _broadcast(equation: Any, axes: Axes, shape: Sequence[int]) -> Axes:
    placed = [NONE] * len(equation.outvars[0].aval.shape)
    for axis, place in enumerate(equation.params["broadcast_dimensions"]):
        placed[place] = axes[axis]
    return tuple(placed)


def _reshaped(equation: Any, axes: Axes, shape: Sequence[int]) -> Axes:
    order = equation.params["dimensions"] or range(len(shape))
    old, new = [shape[i] for i in order], equation.outvars[0].aval.shape
    return tuple(reshape([axes[i] for i in order], old, new))


def _gathered(equation: Any, axes: Axes, shape: Sequence[int]) -> Axes:
    numbers = equation.params["dimension_numbers"]
    removed = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    kept = iter([labels for axis, labels in enumerate(axes) if axis not in removed])
    indexed = NONE.union(*(axes[axis] for axis in removed))
    return tuple(
        next(kept) if place in numbers.offset_dims else indexed
        for place in range(len(equation.outvars[0].aval.shape))
    )


def _without(parameter: str) -> Callable[..., Axes]:
    def rule(equation: Any, axes: Axes, shape: Sequence[int]) -> Axes:
        dropped = equation.params[parameter]
        dropped = (dropped,) if isinstance(dropped, int) else dropped
        return tuple(labels for axis, labels in enumerate(axes) if axis not in dropped)

    return rule


_MOVES: dict[str, Callable[..., Axes]] = {
    "transpose": lambda eq, axes, shape: tuple(axes[i] for i in eq.params["permutation"]),
    "reshape": _reshaped,
    "broadcast_in_dim": _broadcast,
    "gather": _gathered,
    "squeeze": _without("dimensions"),
    "unstack": _without("axis"),
    **{
        name: _without("axes")
        for name in (
            *(f"reduce_{each}" for each in ("sum", "max", "min", "prod", "and", "or")),
            "argmax",
            "argmin",
        )
    },
}

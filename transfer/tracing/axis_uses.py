"""How a forward pass uses a parameter, and the annotation that follows."""

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from transfer.errors import TransferError
from transfer.scaling import Axes


class Kind(enum.Enum):
    """What one use does with one axis of a parameter.

    The first four are what a product with the inputs does; the others say how an axis left the
    array on the way there, and matter only where no product says more.
    """

    IN = "summed over"
    OUT = "produced"
    BATCH = "one weight for each entry"
    KEPT = "added or multiplied entry by entry"
    STACKED = "scanned over or indexed"
    LOOKED_UP = "looked up"
    LOST = "reduced"


Use = Mapping[int, Kind]


@dataclasses.dataclass
class Uses:
    """Everything seen of one parameter: its products with inputs, and the axes that went before.

    `groups` holds an output axis, the axes of the input channels and the number of groups of each
    convolution, and whether the axis came first where several were merged into one; `joined` the
    sizes of the parts that the activations it met were concatenated of, `split` those that its
    outputs were taken apart into. `obstacle` says why the forward pass does not tell how the
    parameter is used, if it does not.
    """

    products: list[Use] = dataclasses.field(default_factory=list)
    gone: dict[int, set[Kind]] = dataclasses.field(default_factory=dict)
    groups: set[tuple[int, frozenset[int], int, bool]] = dataclasses.field(default_factory=set)
    joined: set[tuple[int, ...]] = dataclasses.field(default_factory=set)
    split: set[tuple[int, ...]] = dataclasses.field(default_factory=set)
    obstacle: str = ""


def annotation(
    path: str, uses: Uses, growing: Sequence[bool], shape: Sequence[int]
) -> tuple[Axes, bool]:
    """Return a parameter's axes, and whether it is an embedding that is also the readout.

    Raises `TransferError` when its uses contradict each other, or leave it open what it is.
    """
    if uses.obstacle:
        raise ambiguous(path, uses.obstacle)
    merged = _merged(uses.products)
    if len(merged) > 1:
        first, *others = [_axes(path, use, uses.gone, growing) for use in merged]
        lookups = [axes for axes in (first, *others) if _grows(axes, growing) == (False, True)]
        readouts = [axes for axes in (first, *others) if _grows(axes, growing) == (True, False)]
        if len(merged) == 2 and lookups and readouts:
            return lookups[0], True
        seen = " and as ".join(f'"{axes}"' for axes in (first, *others))
        raise ambiguous(path, f"the forward pass uses it as {seen}")
    axes = _axes(path, merged[0] if merged else {}, uses.gone, growing)
    return _with_groups(path, axes, uses, growing, shape), False


def require_one_law(
    path: str, axes: Axes, uses: Uses, base: Sequence[int], probe: Sequence[int]
) -> None:
    """Raise `TransferError` for a weight that is two: one part grows with width, one is fixed.

    Raw inputs that are concatenated to hidden features need another init and learning rate than
    the features do, and so does a part of the outputs that is split off with a fixed size. A size
    that is rounded to a multiple does not double exactly either, but belongs to no such part.

    Arguments:
      base, probe: the shapes at the base width and at twice it.
    """
    for names, parts, kind in (
        (axes.inputs or (), uses.joined, "sums over"),
        (axes.outputs, uses.split, "produces"),
    ):
        for axis in map(int, names):
            fixed = 2 * base[axis] - probe[axis]
            share = Fraction(fixed, base[axis])
            if fixed > 0 and probe[axis] > base[axis] and share in _shares(parts):
                raise TransferError(
                    f"What {path} {kind} grows with width from {base[axis]} to {probe[axis]}, but "
                    f"{fixed} of it do not grow, and need another init and learning rate than the "
                    f"others; expected a weight of its own for these {fixed}, or "
                    f'axes={{"{path}": "{axes}"}} if all are to be taken for growing.'
                )


def _shares(parts: Iterable[Sequence[int]]) -> set[Fraction]:
    """Which shares of a whole some of its parts make up together."""
    shares = set()
    for sizes in parts:
        sums = {0}
        for size in sizes:
            sums |= {total + size for total in sums}
        shares |= {Fraction(total, sum(sizes)) for total in sums}
    return shares


def _with_groups(
    path: str, axes: Axes, uses: Uses, growing: Sequence[bool], shape: Sequence[int]
) -> Axes:
    # Under `vmap` the kernels of a stack are groups of one convolution, if each has an image of its
    # own: what is left of the number of groups are those of each kernel. On one image for all, the
    # kernels lie inside each group.
    stacked = {out for out, *_ in uses.groups if str(out) in axes.stack}
    leading = {out for out, _, _, leads in uses.groups if leads} & stacked
    kernels = math.prod(shape[out] for out in leading)
    if any(count % kernels for _, _, count, _ in uses.groups):
        raise ambiguous(path, "convolutions take a stack of kernels in groups")
    found = {
        (out, channels, count // kernels)
        for out, channels, count, _ in uses.groups
        if out not in stacked and count > kernels
    }
    if not found:
        return axes
    (out, channels, count), *others = found
    if others:
        raise ambiguous(path, "convolutions take its outputs in different groups")
    # Where more groups and not larger ones make up the width, as in a depthwise convolution, each
    # sums over a fixed size, whatever their number.
    if growing[out] and not any(growing[axis] for axis in channels):
        return axes
    return dataclasses.replace(axes, groups=count)


def ambiguous(path: str, reason: str) -> TransferError:
    """Return the error that says how to resolve what a forward pass leaves open."""
    return TransferError(
        f"The role of {path} is ambiguous: {reason}; expected its annotation by axis number in "
        f'axes={{"{path}": ...}}, such as "0 -> 1" for a matrix (in, out), "1 -> 0" for (out, in), '
        '"0 | 1" for stacked gains or "0 | 1 -> 2" for stacked matrices.'
    )


def _merged(products: Iterable[Use]) -> list[Use]:
    """Uses that do not contradict each other are parts of one: slices of a fused weight."""
    merged: list[dict[int, Kind]] = []
    for use in products:
        for other in merged:
            if all(other.get(axis, kind) == kind for axis, kind in use.items()):
                other.update(use)
                break
        else:
            merged.append(dict(use))
    return list(merged)


def _axes(path: str, use: Use, gone: Mapping[int, set[Kind]], growing: Sequence[bool]) -> Axes:
    stack, inputs, outputs = [], [], []
    produced = {axis for axis, kind in use.items() if kind == Kind.OUT and growing[axis]}
    summed = {axis for axis, kind in use.items() if kind == Kind.IN}
    for axis, grows in enumerate(growing):
        match use.get(axis), gone.get(axis, set()):
            case Kind.IN, _:
                inputs.append(axis)
            # A fixed number of matrices in front of their own axes, such as the three of a fused
            # query, key and value, is a stack and not one matrix of three times the width.
            case Kind.OUT, _ if summed and produced and axis < min(summed | produced):
                stack.append(axis)
            case Kind.KEPT, before if Kind.LOOKED_UP in before:
                inputs.append(axis)
            case ((Kind.OUT | Kind.KEPT), _):
                outputs.append(axis)
            # One small weight for each of a growing number of heads or channels.
            case Kind.BATCH, _:
                (outputs if grows else stack).append(axis)
            case None, before if before <= {Kind.STACKED} and not grows:
                stack.append(axis)
            case None, before if before:
                reason = " and ".join(sorted(kind.value for kind in before))
                raise ambiguous(path, f"its axis {axis} is {reason} before it meets the inputs")
            case _:
                raise ambiguous(path, f"its axis {axis} never meets the inputs")
    wide = [axis for axis in outputs if growing[axis]]
    if len(wide) > 1 and not any(growing[axis] for axis in inputs):
        # A matrix that a lookup chose for each input, or a product written as a multiplication and
        # a sum, looks like this.
        raise ambiguous(
            path, f"its axes {wide[0]} and {wide[1]} both grow and neither is summed over"
        )
    if not inputs and not outputs:  # a stack of single numbers, which all factors leave alone
        stack, outputs = outputs, stack
    names = [tuple(map(str, each)) for each in (stack, inputs, outputs)]
    return Axes(stack=names[0], inputs=names[1] or None, outputs=names[2])


def _grows(axes: Axes, growing: Sequence[bool]) -> tuple[bool, bool]:
    return (
        any(growing[int(name)] for name in axes.inputs or ()),
        any(growing[int(name)] for name in axes.outputs),
    )

"""The abstract domain in which a forward pass is interpreted: what a traced value is made of."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

# One axis of one parameter: its path and the axis's place in the array.
Axis = tuple[str, int]
Labels = frozenset[Axis]
NONE: Labels = frozenset()


@dataclasses.dataclass(frozen=True)
class Weight:
    """An array made of parameters alone: for each of its axes, the parameters' axes it runs along.

    `looked_up` marks rows that were taken from a table by constant indices (a table of positions),
    `repeated` an array that was broadcast along an axis of no parameter (a learned query for every
    example of a batch): what is then contracted with a matrix is an activation. `leading` says of
    axes that were merged, by their labels, which of them came first.
    """

    axes: tuple[Labels, ...]
    looked_up: bool = False
    repeated: bool = False
    leading: tuple[tuple[Labels, Labels], ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        """The parameters this array is made of."""
        return frozenset(path for labels in self.axes for path, _ in labels)

    def leads(self, axis: int) -> Labels:
        """The labels of what came first in an axis that others were merged into."""
        labels = self.axes[axis]
        return dict(self.leading).get(labels, labels)

    def along(self, axes: Sequence[Labels]) -> "Weight":
        """The same array with other axes."""
        return dataclasses.replace(self, axes=tuple(axes))


@dataclasses.dataclass(frozen=True)
class Other:
    """An array that holds no parameter, or one that has met the inputs already.

    `data` says that it depends on the inputs (or on a parameter that met them); `scalar` that it is
    one number, or one number broadcast. `linear_in` are the parameters whose products with
    activations it is still a linear function of, and `joined` the sizes of the parts that it was
    concatenated of since the last product. `produced` are for each of its axes the axes of weights
    whose products it runs along; it is empty where there are none.
    """

    data: bool
    scalar: bool = False
    linear_in: frozenset[str] = frozenset()
    joined: frozenset[tuple[int, ...]] = frozenset()
    produced: tuple[Labels, ...] = ()


Value = Weight | Other
CONSTANT = Other(data=False)


def join(one: Value, other: Value) -> Value:
    """Return the value that stands for either of two, as after a branch or a step of a loop."""
    if isinstance(one, Weight) and isinstance(other, Weight):
        return merge([one, other])
    if isinstance(one, Weight):
        return activation([other]) if isinstance(other, Other) and other.data else one
    if isinstance(other, Weight):
        return join(other, one)
    return Other(
        data=one.data or other.data,
        scalar=one.scalar and other.scalar,
        linear_in=one.linear_in | other.linear_in,
        joined=one.joined | other.joined,
        produced=union(one.produced, other.produced),
    )


def union(one: Sequence[Labels], other: Sequence[Labels]) -> tuple[Labels, ...]:
    """Return the labels of either, axis by axis; an array without any has an empty tuple."""
    if not one or not other:
        return (*one, *other)
    return tuple(a | b for a, b in zip(one, other, strict=True))


def activation(values: Sequence[Value]) -> Other:
    """An array that depends on the inputs and is a linear function of each of these values."""
    others = [value for value in values if isinstance(value, Other)]
    return Other(
        data=True,
        linear_in=frozenset().union(*(value.linear_in for value in others)),
        joined=frozenset().union(*(value.joined for value in others)),
    )


def merge(weights: Sequence[Weight]) -> Weight:
    """An array whose entries mix those of several of one shape."""
    axes = tuple(
        NONE.union(*labels) for labels in zip(*(weight.axes for weight in weights), strict=True)
    )
    return Weight(
        axes,
        any(weight.looked_up for weight in weights),
        # A gain that is broadcast to the shape of a matrix makes no activation of the matrix.
        all(weight.repeated for weight in weights),
        tuple(dict.fromkeys(pair for weight in weights for pair in weight.leading)),
    )


def reshape(labels: Sequence[Labels], old: Sequence[int], new: Sequence[int]) -> list[Labels]:
    """Carry labels through a reshape: axes that are merged or split share theirs.

    Example:
      >>> q, d = frozenset({("w", 0)}), frozenset({("w", 1)})
      >>> [sorted(each) for each in reshape([q, d], (4, 6), (4, 2, 3))]
      [[('w', 0)], [('w', 1)], [('w', 1)]]
    """
    carried: list[Labels] = [NONE] * len(new)
    for (start, stop), places in _runs(old, new):
        for place in places:
            if new[place] > 1:
                carried[place] = NONE.union(*labels[start:stop])
    return carried


def merged(
    labels: Sequence[Labels], old: Sequence[int], new: Sequence[int]
) -> tuple[tuple[Labels, Labels], ...]:
    """Return, for each run of axes that a reshape merges, all their labels and those of the first.

    Example:
      >>> q, d = frozenset({("w", 0)}), frozenset({("w", 1)})
      >>> [(sorted(every), sorted(first)) for every, first in merged([q, d], (4, 6), (24,))]
      [([('w', 0), ('w', 1)], [('w', 0)])]
    """
    found = []
    for (start, stop), places in _runs(old, new):
        long = [labels[axis] for axis in range(start, stop) if old[axis] > 1]
        if len(places) == 1 and len(long) > 1:
            found.append((NONE.union(*long), long[0]))
    return tuple(found)


def _runs(
    old: Sequence[int], new: Sequence[int]
) -> Iterator[tuple[tuple[int, int], Sequence[int]]]:
    """The shortest runs of old and new axes that hold equally many entries."""
    i = j = 0
    while i < len(old) and j < len(new):
        stop_i, stop_j = i + 1, j + 1
        while (a := math.prod(old[i:stop_i])) != (b := math.prod(new[j:stop_j])):
            if a < b:
                stop_i += 1
            else:
                stop_j += 1
        yield (i, stop_i), range(j, stop_j)
        i, j = stop_i, stop_j

"""One parameter: which of its axes grow with width and depth, and the role that follows from it."""

import dataclasses
import enum
import math
from fractions import Fraction

from transfer.errors import TransferError
from transfer.scaling.axes import Axes


class Role(enum.StrEnum):
    """The five ways in which a parameter's shape depends on width (m = width / base width).

    | role   | from -> to       | examples                                      |
    |--------|------------------|-----------------------------------------------|
    | input  | finite -> width  | embeddings, a first layer on raw features     |
    | hidden | width -> width   | attention and feed-forward matrices           |
    | output | width -> finite  | the readout                                   |
    | vector | width, no fan-in | norm gains and biases                         |
    | scalar | nothing grows    | gains of a fixed head dimension, logit biases |
    """

    INPUT = "input"
    HIDDEN = "hidden"
    OUTPUT = "output"
    VECTOR = "vector"
    SCALAR = "scalar"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotated:
    """An array as a model declares it at one width: its axes, its shape, its init, its ties.

    `gain` is the init std times sqrt(fan-in), so that std = gain / sqrt(fan-in) at the base width;
    `std` is an init std that does not depend on fan-in (embeddings). Both are None for constants
    (gains of one, biases of zero). `tied` marks an embedding table that is also the readout.
    `activations` marks what holds no weight and carries a forward multiplier alone: a contraction
    of two activations (`head_dim ->`, attention logits) or the branch of a residual block (`->`).
    """

    axes: Axes
    shape: tuple[int, ...]
    gain: float | None = None
    std: float | None = None
    tied: bool = False
    activations: bool = False

    def stacked(self, axis: str, size: int) -> "Annotated":
        """The same array repeated `size` times along a new leading axis."""
        return dataclasses.replace(self, axes=self.axes.stacked(axis), shape=(size, *self.shape))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter at the target width, with its shape at the base width beside it."""

    path: str
    axes: Axes
    shape: tuple[int, ...]
    base_shape: tuple[int, ...]
    growing: tuple[bool, ...]
    gain: float | None
    std: float | None
    tied: bool
    activations: bool = False

    @property
    def role(self) -> Role:
        """The role that the growing axes give (`Role`)."""
        grows_in, grows_out = any(self._inputs(self.growing)), any(self._outputs(self.growing))
        if self.axes.inputs is None:
            return Role.VECTOR if grows_out else Role.SCALAR
        if grows_in:
            return Role.HIDDEN if grows_out else Role.OUTPUT
        return Role.INPUT if grows_out else Role.SCALAR

    @property
    def fan_in(self) -> int:
        """Number of terms in each sum of the product (kernel area included); 1 without one."""
        return math.prod(self._inputs(self.shape))

    @property
    def fan_out(self) -> int:
        """Number of outputs of one weight of the stack, or of one group of it."""
        return math.prod(self._outputs(self.shape)) // self.axes.groups

    @property
    def m_in(self) -> Fraction:
        """Fan-in over fan-in at the base width, exactly."""
        return Fraction(self.fan_in, math.prod(self._inputs(self.base_shape)))

    @property
    def m_out(self) -> Fraction:
        """Fan-out over fan-out at the base width, exactly."""
        return Fraction(
            math.prod(self._outputs(self.shape)), math.prod(self._outputs(self.base_shape))
        )

    @property
    def m_depth(self) -> Fraction:
        """Number of weights in the stack over that of the base model, exactly; 1 without one."""
        places = self.axes.places[: len(self.axes.stack)]
        return Fraction(
            math.prod(self.shape[place] for place in places),
            math.prod(self.base_shape[place] for place in places),
        )

    @property
    def split_shape(self) -> tuple[int, ...]:
        """The shape with an output axis of several groups split in two: (groups, outputs of each).

        Example:
          >>> from transfer.scaling import Annotated, Axes, Layout
          >>> axes = Axes.parse("height width channels -> filters / 4")
          >>> kernel = lambda n: {"w": Annotated(axes=axes, shape=(3, 3, n // 4, n))}
          >>> w = Layout.compare(base=kernel(8), probe=kernel(16), target=kernel(32))["w"]
          >>> w.split_shape, w.split_places
          ((3, 3, 8, 4, 8), ((3,), (0, 1, 2), (4,)))
        """
        if self.axes.groups == 1:
            return self.shape
        split = self.axes.places[-1]
        return *self.shape[:split], self.axes.groups, self.fan_out, *self.shape[split + 1 :]

    @property
    def split_places(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Where in `split_shape` stack, inputs and outputs are; groups count as the last stack."""
        places, grouped = self.axes.places, self.axes.groups > 1
        if grouped:
            split = places[-1]
            places = (*(place + (place > split) for place in places[:-1]), split + 1)
        start, end = len(self.axes.stack), len(places) - len(self.axes.outputs)
        stack = places[:start] + ((split,) if grouped else ())
        return stack, places[start:end], places[end:]

    @property
    def base_std(self) -> float | None:
        """Init std at the base width; None for a constant."""
        if self.gain is not None:
            return self.gain / math.sqrt(math.prod(self._inputs(self.base_shape)))
        return self.std

    @property
    def base_multiplier(self) -> float:
        """Forward multiplier at the base width: base fan-in^-1/2 for a contraction, 1 otherwise."""
        if self.activations and self.axes.inputs:
            return math.pow(math.prod(self._inputs(self.base_shape)), -0.5)
        return 1.0

    @property
    def as_readout(self) -> "Parameter":
        """A tied embedding as the readout that it also is: inputs and outputs trade places."""
        # Numbered axes may stand in any order, so the array itself stays as it is.
        places = tuple(map(str, self.axes.places))
        start, end = len(self.axes.stack), len(places) - len(self.axes.outputs)
        axes = Axes(stack=places[:start], inputs=places[end:], outputs=places[start:end])
        return dataclasses.replace(self, axes=axes, tied=False)

    def _inputs(self, values: tuple[int, ...]) -> list[int]:
        stack, inputs = len(self.axes.stack), len(self.axes.inputs or ())
        return [values[place] for place in self.axes.places[stack : stack + inputs]]

    def _outputs(self, values: tuple[int, ...]) -> list[int]:
        kept = len(self.axes.names) - len(self.axes.outputs)
        return [values[place] for place in self.axes.places[kept:]]

    def stacked(self, axis: str, size: int) -> "Parameter":
        """The same parameter repeated `size` times along a new leading axis."""
        axes = self.axes
        if axes.names and axes.names[0].isdecimal():
            # Numbered axes name their places, all of which the new axis moves by one.
            axes = dataclasses.replace(
                axes,
                stack=("0", *_moved(axes.stack)),
                inputs=None if axes.inputs is None else _moved(axes.inputs),
                outputs=_moved(axes.outputs),
            )
        else:
            axes = axes.stacked(axis)
        return dataclasses.replace(
            self,
            axes=axes,
            shape=(size, *self.shape),
            base_shape=(size, *self.base_shape),
            growing=(False, *self.growing),
        )


def compare(path: str, base: Annotated, probe: Annotated, target: Annotated) -> Parameter:
    """Read a parameter from its declarations at three widths; raises as `Layout.compare` does."""
    names = target.axes.names
    for annotated in (base, probe, target):
        if len(annotated.shape) != len(names):
            raise TransferError(
                f'The annotation "{annotated.axes}" of {path} names {len(names)} axes but its '
                f"shape is {annotated.shape}; expected one name per axis."
            )
        if min(annotated.shape, default=1) < 1:
            raise TransferError(
                f"{path} has the empty shape {annotated.shape}; expected sizes >= 1."
            )
        groups = annotated.axes.groups
        if groups > 1 and annotated.shape[annotated.axes.places[-1]] % groups:
            raise TransferError(
                f"The outputs of {path}, of shape {annotated.shape}, are no {groups} groups of one "
                "size; expected one number of groups at every width."
            )
    growing = tuple(small != large for small, large in zip(base.shape, probe.shape, strict=True))
    if any(growing[place] for place in target.axes.places[: len(target.axes.stack)]):
        raise TransferError(
            f'The stack of {path} ("{target.axes}") grows with width; expected a number of weights '
            "that does not depend on width."
        )
    for name, place in zip(names, target.axes.places, strict=True):
        differs = target.shape[place] != base.shape[place]
        if differs and not growing[place] and name not in target.axes.stack:
            raise TransferError(
                f"The axis {name} of {path} has size {base.shape[place]} at the base width and "
                f"{target.shape[place]} at the target but does not grow with width; expected "
                "models that differ in width and depth alone."
            )
    return Parameter(
        path=path,
        axes=target.axes,
        shape=target.shape,
        base_shape=base.shape,
        growing=growing,
        gain=base.gain,
        std=base.std,
        tied=target.tied,
        activations=target.activations,
    )


def _moved(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(int(name) + 1) for name in names)

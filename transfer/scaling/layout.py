"""Which axes of which parameter grow with width and depth, and the role that follows from it."""

import dataclasses
import enum
import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from transfer.errors import TransferError, nearest
from transfer.scaling.axes import Axes
from transfer.text_table import Tabular, TextTable


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
        """Number of outputs of one weight of the stack."""
        return math.prod(self._outputs(self.shape))

    @property
    def m_in(self) -> Fraction:
        """Fan-in over fan-in at the base width, exactly."""
        return Fraction(self.fan_in, math.prod(self._inputs(self.base_shape)))

    @property
    def m_out(self) -> Fraction:
        """Fan-out over fan-out at the base width, exactly."""
        return Fraction(self.fan_out, math.prod(self._outputs(self.base_shape)))

    @property
    def m_depth(self) -> Fraction:
        """Number of weights in the stack over that of the base model, exactly; 1 without one."""
        places = self.axes.places[: len(self.axes.stack)]
        return Fraction(
            math.prod(self.shape[place] for place in places),
            math.prod(self.base_shape[place] for place in places),
        )

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


@dataclasses.dataclass(frozen=True)
class Layout(Tabular, Mapping[str, Parameter]):
    """Every parameter of a model by path, seen from a base width.

    `multiplied` is None for a model whose every layer reads its forward multiplier from the recipe.
    For a model of one's own it holds the paths whose multiplier that model applies: a recipe that
    needs others is refused.

    Example:
      >>> axes = Axes.parse("embed -> hidden")
      >>> kernel = lambda n: Annotated(axes=axes, shape=(n, 4 * n), gain=1.0)
      >>> layout = Layout.compare(
      ...     base={"up": kernel(64)}, probe={"up": kernel(128)}, target={"up": kernel(512)}
      ... )
      >>> layout["up"].role, layout["up"].m_in
      (<Role.HIDDEN: 'hidden'>, Fraction(8, 1))
    """

    parameters: Mapping[str, Parameter]
    multiplied: frozenset[str] | None = None

    @classmethod
    def compare(
        cls,
        *,
        base: Mapping[str, Annotated],
        probe: Mapping[str, Annotated],
        target: Mapping[str, Annotated],
        multiplied: Iterable[str] | None = None,
    ) -> "Layout":
        """Build a layout from a model declared at three widths.

        An axis grows when it differs between `base` and `probe`, a second width that is never the
        target: so a target of the base width, or one narrower than it, works like any other. The
        target may stack another number of weights than the base: that is its depth.
        Raises `TransferError` when the three do not hold the same parameters, when an annotation
        does not fit its shape, when the number of weights in a stack grows with width, or when the
        target differs from the base in an axis that does not grow.
        """
        if base.keys() != probe.keys() or base.keys() != target.keys():
            odd = sorted((base.keys() ^ probe.keys()) | (base.keys() ^ target.keys()))
            raise TransferError(
                f"The model does not have the same parameters at every width and depth "
                f"({', '.join(odd[:3])} differ); expected one architecture whose shapes alone "
                "depend on them: layers of another number are stacked."
            )
        layout = cls(
            {path: _compare(path, base[path], probe[path], target[path]) for path in target},
            None if multiplied is None else frozenset(multiplied),
        )
        for path in layout.multiplied or ():
            layout[path]
        return layout

    def __getitem__(self, path: str) -> Parameter:
        try:
            return self.parameters[path]
        except KeyError:
            raise TransferError(
                f'The layout holds no parameter "{path}"{nearest(path, self.parameters)}; expected '
                "the parameters of the model that the layout was made from."
            ) from None

    def __contains__(self, path: object) -> bool:
        return path in self.parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def cells(self) -> list[list[str]]:
        """Header and a row per parameter as text, for any renderer."""
        header = ["parameter", "axes", "shape", "at the base", "role", "m in", "m out"]
        return [
            header,
            *(
                [
                    path,
                    str(parameter.axes),
                    "x".join(map(str, parameter.shape)),
                    "x".join(map(str, parameter.base_shape)),
                    parameter.role.value,
                    str(parameter.m_in),
                    str(parameter.m_out),
                ]
                for path, parameter in self.items()
            ),
        ]

    def text_table(self) -> TextTable:
        """Return a table with a row per parameter."""
        count = sum(math.prod(parameter.shape) for parameter in self.values())
        return TextTable(f"{count:,} numbers in {len(self)} parameters", self.cells())

    def require(self, paths: Iterable[str]) -> None:
        """Raise `TransferError` unless `paths` are exactly the layout's: nothing goes unscaled."""
        odd = sorted(set(paths) ^ set(self.parameters))
        if odd:
            raise TransferError(
                f"Parameters and layout differ at {', '.join(odd[:3])}"
                f"{' and more' if len(odd) > 3 else ''}; expected the layout of this very model."
            )


def _compare(path: str, base: Annotated, probe: Annotated, target: Annotated) -> Parameter:
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

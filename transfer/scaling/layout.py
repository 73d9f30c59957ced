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
    needs others is refused. `whole` is the layout that a `subset` was taken from, and
    `local_shapes` are the shapes of a device's own parts (`sharded`); both are None otherwise.

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
    whole: "Layout | None" = None
    local_shapes: Mapping[str, tuple[int, ...]] | None = None

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

    def subset(self, paths: Iterable[str]) -> "Layout":
        """Return the layout of some of the parameters: those that an optimizer trains.

        A recipe that names layers of the whole model stays valid for its subset.
        Raises `TransferError` for a path that the layout does not hold.

        Example:
          >>> kernel = lambda n: Annotated(axes=Axes.parse("embed -> hidden"), shape=(n, 4 * n))
          >>> model = lambda n: {"adapter": kernel(n), "frozen": kernel(n)}
          >>> layout = Layout.compare(base=model(2), probe=model(4), target=model(8))
          >>> list(layout.subset(["adapter"]))
          ['adapter']
        """
        kept = {path: self[path] for path in paths}
        return dataclasses.replace(
            self,
            parameters=kept,
            multiplied=None if self.multiplied is None else self.multiplied & kept.keys(),
            whole=self.whole or self,
            local_shapes=None
            if self.local_shapes is None
            else {path: self.local_shapes[path] for path in kept},
        )

    def stacked(self, axis: str, size: int) -> "Layout":
        """Return the layout of trees whose every leaf has one more leading axis of this size.

        The axis counts as a stack of independent weights: it changes no factor, a step that
        depends on matrices treats each of them on its own, and a gradient norm is that of the
        whole tree. Under `jax.vmap` the plain layout is the right one, because a function that is
        mapped over sees no such axis.
        Raises `TransferError` for a size below 1 and for a layout of a device's own parts.

        Example:
          >>> kernel = lambda n: {"up": Annotated(axes=Axes.parse("embed -> hidden"), shape=(n, n))}
          >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
          >>> up = layout.stacked("members", 3)["up"]
          >>> up.shape, str(up.axes), up.m_in, up.m_depth
          ((3, 8, 8), 'members | embed -> hidden', Fraction(4, 1), Fraction(1, 1))
        """
        if size < 1:
            raise TransferError(f"The axis {axis} has size {size}; expected at least 1.")
        if self.local_shapes is not None:
            raise TransferError(
                f"The layout is already one of a device's own parts, to which no axis {axis} can "
                "be added; expected layout.stacked(axis, size).sharded(shapes)."
            )
        return dataclasses.replace(
            self, parameters={path: _stacked(each, axis, size) for path, each in self.items()}
        )

    def sharded(self, shapes: Mapping[str, tuple[int, ...]]) -> "Layout":
        """Return the layout of trees that hold a device's own parts, as in a manual `shard_map`.

        Every factor stays that of the whole parameter. Only steps that act on every entry alone
        (AdamW, NAdam, Adam-atan2, Lion, SGD) can be taken in parts, without clipping; what needs a
        whole matrix or the norm of the whole gradient is refused. Parameters that the compiler
        shards (`jax.jit` with shardings) need nothing of this, because a traced shape is global.

        Arguments:
          shapes: of the part of every parameter, by path.

        Raises `TransferError` when the paths are not the layout's, or when a shape does not divide
        the whole parameter's.

        Example:
          >>> kernel = lambda n: {"up": Annotated(axes=Axes.parse("embed -> hidden"), shape=(n, n))}
          >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
          >>> layout.sharded({"up": (2, 8)})["up"].m_in
          Fraction(4, 1)
        """
        self.require(shapes)
        local = {path: tuple(shape) for path, shape in shapes.items()}
        for path, part in local.items():
            whole = self[path].shape
            if len(part) != len(whole) or any(
                size < 1 or full % size for size, full in zip(part, whole, strict=True)
            ):
                raise TransferError(
                    f"The part of {path} has the shape {part}, which does not divide the whole "
                    f"parameter's {whole}; expected the shape that one device holds."
                )
        return dataclasses.replace(self, local_shapes=local)

    def require(self, paths: Iterable[str], masked: Iterable[str] = ()) -> None:
        """Raise `TransferError` unless `paths` are exactly the layout's: nothing goes unscaled.

        Paths at or below those of `masked` may be missing; an empty one stands for the whole tree.
        """
        hidden = tuple(masked)

        def is_masked(path: str) -> bool:
            return any(not each or f"{path}.".startswith(f"{each}.") for each in hidden)

        given = set(paths)
        missing = {path for path in self.parameters.keys() - given if not is_masked(path)}
        odd = sorted((given - self.parameters.keys()) | missing)
        if odd:
            raise TransferError(
                f"Parameters and layout differ at {', '.join(odd[:3])}"
                f"{' and more' if len(odd) > 3 else ''}; expected the layout of this very model, "
                "or its subset(paths) for some of the parameters."
            )

    def require_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise `TransferError` at the first parameter whose shape is not the layout's."""
        for path, shape in shapes.items():
            expected = self[path].shape if self.local_shapes is None else self.local_shapes[path]
            if tuple(shape) != expected:
                raise TransferError(
                    f"{path} has the shape {tuple(shape)} but {expected} in the layout; expected "
                    "the layout of this very model at this very width, its stacked(axis, size) "
                    "for an extra leading axis, or its sharded(shapes) for a device's own parts."
                )


def _stacked(parameter: Parameter, axis: str, size: int) -> Parameter:
    axes = parameter.axes
    if axes.names and axes.names[0].isdecimal():
        # Numbered axes name their places, all of which the new axis moves by one.
        axes = Axes(
            stack=("0", *_moved(axes.stack)),
            inputs=None if axes.inputs is None else _moved(axes.inputs),
            outputs=_moved(axes.outputs),
        )
    else:
        axes = axes.stacked(axis)
    return dataclasses.replace(
        parameter,
        axes=axes,
        shape=(size, *parameter.shape),
        base_shape=(size, *parameter.base_shape),
        growing=(False, *parameter.growing),
    )


def _moved(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(int(name) + 1) for name in names)


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

"""Every parameter of a model, seen from a base width."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

from transfer.errors import TransferError, nearest
from transfer.scaling.parameter import Annotated, Parameter, compare
from transfer.text_table import Tabular, TextTable


@dataclasses.dataclass(frozen=True)
class Layout(Tabular, Mapping[str, Parameter]):
    """Every parameter of a model by path, seen from a base width.

    `multiplied` is None for a model whose every layer reads its forward multiplier from the recipe.
    For a model of one's own it holds the paths whose multiplier that model applies: a recipe that
    needs others is refused. `whole` is the layout that a `subset` was taken from, and
    `local_shapes` are the shapes of a device's own parts (`sharded`); both are None otherwise.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Layout
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
    def of(cls, layout: "Layout") -> "Layout":
        """Return a layout itself; raises `TransferError` for anything else."""
        if not isinstance(layout, cls):
            raise TransferError(
                f"The layout is a {type(layout).__name__}; expected what transfer.infer_layout or "
                "transfer.model_layout returns."
            )
        return layout

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
            {path: compare(path, base[path], probe[path], target[path]) for path in target},
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
          >>> from transfer.scaling import Annotated, Axes, Layout
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
          >>> from transfer.scaling import Annotated, Axes, Layout
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
            self, parameters={path: each.stacked(axis, size) for path, each in self.items()}
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
          >>> from transfer.scaling import Annotated, Axes, Layout
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
        differing = (given - self.parameters.keys()) | missing
        odd = sorted(path or "the tree itself" for path in differing)
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

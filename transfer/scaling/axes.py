"""The annotation `stack | in -> out` that every parameter carries."""

import dataclasses

from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True)
class Axes:
    """A parameter's axes, split by what a matrix product does with them.

    `stack` axes enumerate separate weights (layers), `inputs` are summed over and `outputs` are
    produced. A parameter without an arrow (a gain, a bias) is not contracted at all: its `inputs`
    are None, which is not the same as an empty tuple. Axes are named in array order, or numbered
    by their place in the array: `1 -> 0` is a matrix stored as (out, in).

    In a grouped convolution each group of outputs sums over channels of its own. `/ 4` at the end
    says that the one output axis is 4 such groups, one after the other: a stack of 4 weights.

    Example:
      >>> axes = Axes.parse("layers | embed -> heads head_dim")
      >>> axes.stack, axes.inputs, axes.outputs
      (('layers',), ('embed',), ('heads', 'head_dim'))
      >>> Axes.parse("embed").inputs is None
      True
      >>> Axes.parse("0 | 2 -> 1").places
      (0, 2, 1)
      >>> Axes.parse("height width channels -> filters / 4").groups
      4

    Raises `TransferError` for numbers that are not 0, 1, ... once each, and for groups of outputs
    that are not one axis of a product.
    """

    stack: tuple[str, ...]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...]
    groups: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1 or (self.groups > 1 and not (self.inputs and len(self.outputs) == 1)):
            raise TransferError(
                f'The annotation "{self}" has {self.groups} groups; expected a number above 0 '
                'after one output axis of a product, such as "height width in -> out / 4".'
            )
        places = set(map(str, range(len(self.names))))
        if any(map(str.isdecimal, self.names)) and set(self.names) != places:
            raise TransferError(
                f'The annotation "{self}" numbers its axes {", ".join(self.names)}; expected every '
                "place from 0 once, or names for all."
            )

    @classmethod
    def parse(cls, annotation: "str | Axes") -> "Axes":
        """Read an annotation; raises `TransferError` when it has two bars or two arrows.

        One that has been read is returned itself.
        """
        if isinstance(annotation, Axes):
            return annotation
        if not isinstance(annotation, str):
            raise TransferError(
                f'The annotation is {annotation!r}; expected text such as "layers | embed -> ffn".'
            )
        body, slash, groups = annotation.partition("/")
        if slash and not groups.strip().isdecimal():
            raise TransferError(
                f'The annotation "{annotation}" has "{groups.strip()}" after its "/"; expected the '
                'number of groups that its outputs are, such as "height width in -> out / 4".'
            )
        stack, bar, rest = body.rpartition("|")
        inputs, arrow, outputs = rest.rpartition("->")
        if "|" in stack or "->" in inputs or (bar and "->" in stack):
            raise TransferError(
                f'The annotation "{annotation}" has more than one "|" or "->"; expected '
                '"stack | in -> out" such as "layers | embed -> heads head_dim".'
            )
        return cls(
            stack=tuple(stack.split()),
            inputs=tuple(inputs.split()) if arrow else None,
            outputs=tuple(outputs.split()),
            groups=int(groups) if slash else 1,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All axes: stack, inputs, outputs."""
        return self.stack + (self.inputs or ()) + self.outputs

    @property
    def places(self) -> tuple[int, ...]:
        """Where in the array each of `names` is."""
        if self.names and self.names[0].isdecimal():
            return tuple(map(int, self.names))
        return tuple(range(len(self.names)))

    def stacked(self, name: str) -> "Axes":
        """The same parameter repeated along a new leading axis.

        Example:
          >>> str(Axes.parse("embed").stacked("layers"))
          'layers | embed'
        """
        return dataclasses.replace(self, stack=(name, *self.stack))

    def __str__(self) -> str:
        body = " ".join(self.outputs)
        if self.inputs is not None:
            body = f"{' '.join(self.inputs)} -> {body}"
        if self.groups != 1:
            body = f"{body} / {self.groups}"
        return (f"{' '.join(self.stack)} | {body}" if self.stack else body).strip()

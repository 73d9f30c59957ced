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

    Example:
      >>> axes = Axes.parse("layers | embed -> heads head_dim")
      >>> axes.stack, axes.inputs, axes.outputs
      (('layers',), ('embed',), ('heads', 'head_dim'))
      >>> Axes.parse("embed").inputs is None
      True
      >>> Axes.parse("0 | 2 -> 1").places
      (0, 2, 1)

    Raises `TransferError` for numbers that are not 0, 1, ... once each.
    """

    stack: tuple[str, ...]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        places = set(map(str, range(len(self.names))))
        if any(map(str.isdecimal, self.names)) and set(self.names) != places:
            raise TransferError(
                f'The annotation "{self}" numbers its axes {", ".join(self.names)}; expected every '
                "place from 0 once, or names for all."
            )

    @classmethod
    def parse(cls, annotation: str) -> "Axes":
        """Read an annotation; raises `TransferError` when it has two bars or two arrows."""
        stack, bar, rest = annotation.rpartition("|")
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
        return (f"{' '.join(self.stack)} | {body}" if self.stack else body).strip()

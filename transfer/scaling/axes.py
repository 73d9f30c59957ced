"""The annotation `stack | in -> out` that every parameter carries."""

import dataclasses

from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True)
class Axes:
    """Names of a parameter's axes in array order, split by what a matrix product does with them.

    `stack` axes enumerate separate weights (layers), `inputs` are summed over and `outputs` are
    produced. A parameter without an arrow (a gain, a bias) is not contracted at all: its `inputs`
    are None, which is not the same as an empty tuple.

    Example:
      >>> axes = Axes.parse("layers | embed -> heads head_dim")
      >>> axes.stack, axes.inputs, axes.outputs
      (('layers',), ('embed',), ('heads', 'head_dim'))
      >>> Axes.parse("embed").inputs is None
      True
    """

    stack: tuple[str, ...]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...]

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
        """All axis names in array order."""
        return self.stack + (self.inputs or ()) + self.outputs

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

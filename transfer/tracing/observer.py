"""What the rules of primitives need of the interpreter."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from transfer.tracing.abstract_values import Labels, Value, Weight
from transfer.tracing.axis_uses import Kind
from transfer.tracing.jaxprs import Location


class Observer(Protocol):
    """What a rule needs of the interpreter: to record uses of weights, and to run nested jaxprs."""

    def product(
        self, weight: Weight, kinds: Sequence[Kind], at: Location, met: Value | None = None
    ) -> None:
        """Record that a weight meets the inputs, and what becomes of each of its axes."""

    def contraction(self, terms: int, at: Location, pairs: Iterable[tuple[Labels, Labels]]) -> None:
        """Record that two activations are contracted with each other, and along which axes."""

    def grouped(self, kernel: Weight, axis: int, channels: int, groups: int) -> None:
        """Record that a convolution takes its kernel's outputs in groups."""

    def split(self, paths: Iterable[str], sizes: Sequence[int]) -> None:
        """Record that the outputs of weights are taken apart into parts of these sizes."""

    def gone(self, labels: Labels, kind: Kind) -> None:
        """Record that an axis leaves an array before the array meets the inputs."""

    def obstruct(self, weight: Weight, reason: str) -> None:
        """Record why the forward pass does not tell the role of a weight."""

    def replaced(self, before: Sequence[Value], after: Sequence[Value], at: Location) -> None:
        """Record weights whose place is taken by activations, as with a learned initial state."""

    def run(self, jaxpr: Any, inputs: Sequence[Value], at: Location) -> list[Value]:
        """Return the values of a jaxpr's outputs, given those of its inputs."""

    def fixed_point(
        self, body: Any, constants: Sequence[Value], carry: Sequence[Value], at: Location
    ) -> list[Value]:
        """Return the values of a loop's carry that a further step leaves unchanged."""

"""Reads a forward pass: follows every parameter through a jaxpr until it meets the inputs."""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jax.extend import core

from transfer.tracing import primitives
from transfer.tracing.abstract_values import CONSTANT, Labels, Other, Value, Weight, join
from transfer.tracing.axis_uses import Kind, Uses

# Where an equation is: its index in each of the nested jaxprs that lead to it.
Location = tuple[int, ...]


class Reader:
    """An abstract interpreter of jaxprs, and what it has seen.

    Attributes:
      uses: what the forward pass does with each parameter.
      products: which parameters meet the inputs at an equation.
      activations: which operand of such an equation the activations are.
      contractions: equations in which two activations are contracted with each other, and the
        number of terms in each sum.
    """

    def __init__(self) -> None:
        self.uses: dict[str, Uses] = collections.defaultdict(Uses)
        self.products: dict[Location, frozenset[str]] = {}
        self.activations: dict[Location, int] = {}
        self.contractions: dict[Location, int] = {}
        self._rehearsing = False

    def read(self, jaxpr: Any, inputs: Sequence[Value], at: Location = ()) -> list[Value]:
        """Return the values of a jaxpr's outputs, given those of its inputs."""
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        values: dict[Any, Value] = dict.fromkeys(jaxpr.constvars, CONSTANT)
        values.update(zip(jaxpr.invars, inputs, strict=True))

        def value(variable: Any) -> Value:
            if isinstance(variable, core.Literal):
                return Other(data=False, scalar=not np.shape(variable.val))
            return values[variable]

        for index, equation in enumerate(jaxpr.eqns):
            arguments = [value(variable) for variable in equation.invars]
            results = self._apply(equation, arguments, (*at, index))
            values.update(zip(equation.outvars, results, strict=True))
        return [value(variable) for variable in jaxpr.outvars]

    def product(self, weight: Weight, kinds: Sequence[Kind], at: Location) -> None:
        """Note that a weight meets the inputs, and what becomes of each of its axes."""
        if self._rehearsing or not weight.paths:
            return
        self.products[at] = self.products.get(at, frozenset()) | weight.paths
        for path in sorted(weight.paths):
            # An axis that was split into parts may be used in two ways, which is then two uses.
            uses: list[dict[int, Kind]] = [{}]
            for labels, kind in zip(weight.axes, kinds, strict=True):
                for _, axis in (label for label in labels if label[0] == path):
                    if uses[0].setdefault(axis, kind) != kind:
                        uses.append({axis: kind})
            self.uses[path].products.extend(uses)

    def contraction(self, terms: int, at: Location) -> None:
        """Note that two activations are contracted with each other."""
        if not self._rehearsing:
            self.contractions[at] = terms

    def gone(self, labels: Labels, kind: Kind) -> None:
        """Note that an axis leaves an array before the array meets the inputs."""
        for path, axis in () if self._rehearsing else labels:
            self.uses[path].gone.setdefault(axis, set()).add(kind)

    def obstruct(self, weight: Weight, reason: str) -> None:
        """Note that what a forward pass does to a weight does not tell its role."""
        for path in () if self._rehearsing else weight.paths:
            self.uses[path].obstacle = reason

    def replaced(self, before: Sequence[Value], after: Sequence[Value], at: Location) -> None:
        """Note weights whose place is taken by activations, as a learned initial state's is."""
        for one, other in zip(before, after, strict=True):
            if isinstance(one, Weight) and not isinstance(other, Weight):
                self.product(one, [Kind.KEPT] * len(one.axes), at)

    def settle(
        self, body: Any, constants: Sequence[Value], carry: Sequence[Value], at: Location
    ) -> list[Value]:
        """Return what the carry of a loop is once further steps no longer change it."""
        settled = list(carry)
        with self._rehearsal():
            while True:
                after = self.read(body, [*constants, *settled], at)[: len(settled)]
                joined = [join(one, other) for one, other in zip(settled, after, strict=True)]
                if joined == settled:
                    break
                settled = joined
        self.replaced(carry, settled, at)
        return settled

    @contextlib.contextmanager
    def _rehearsal(self) -> Iterator[None]:
        before, self._rehearsing = self._rehearsing, True
        try:
            yield
        finally:
            self._rehearsing = before

    def _apply(self, equation: Any, values: Sequence[Value], at: Location) -> Sequence[Value]:
        name = equation.primitive.name
        if name in primitives.CONTROL:
            return primitives.CONTROL[name](self, equation, values, at)
        body = called(equation)
        if body is not None:
            return self.read(body, values, at)
        if name in primitives.PRODUCTS:
            met = [isinstance(value, Weight) and not value.looked_up for value in values]
            self.activations[at] = met.index(False) if False in met else 0
            return [primitives.PRODUCTS[name](self, equation, values, at)]
        weights = [value for value in values if isinstance(value, Weight)]
        if not weights:
            others = [value for value in values if isinstance(value, Other)]
            return primitives.without_weights(equation, others)
        if name in primitives.SHAPES:
            return primitives.SHAPES[name](self, equation, values, at)
        return primitives.elementwise(self, equation, values, at)


def called(equation: Any) -> Any:
    """The jaxpr that an equation runs on just its inputs (jit, remat, custom derivatives)."""
    if equation.primitive.name in ("pallas_call", "scan", "while", "cond"):
        return None
    for parameter in equation.params.values():
        jaxpr = getattr(parameter, "jaxpr", parameter)
        if isinstance(jaxpr, core.Jaxpr) and len(jaxpr.invars) == len(equation.invars):
            return parameter
    return None

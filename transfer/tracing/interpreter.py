"""Interprets a forward pass: follows every parameter through a jaxpr until it meets the inputs."""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from transfer import pytree_paths
from transfer.tracing import primitives
from transfer.tracing.abstract_values import CONSTANT, Labels, Other, Value, Weight, join
from transfer.tracing.axis_uses import Kind, Uses
from transfer.tracing.jaxprs import Location, called_jaxpr
from transfer.tracing.user_model import UserModel


class Interpreter:
    """An abstract interpreter of jaxprs, and what it has recorded.

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
        self._recording = True

    def run(self, jaxpr: Any, inputs: Sequence[Value], at: Location = ()) -> list[Value]:
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
        """Record that a weight meets the inputs, and what becomes of each of its axes."""
        if not self._recording or not weight.paths:
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
        """Record that two activations are contracted with each other."""
        if self._recording:
            self.contractions[at] = terms

    def gone(self, labels: Labels, kind: Kind) -> None:
        """Record that an axis leaves an array before the array meets the inputs."""
        for path, axis in labels if self._recording else ():
            self.uses[path].gone.setdefault(axis, set()).add(kind)

    def obstruct(self, weight: Weight, reason: str) -> None:
        """Record why the forward pass does not tell the role of a weight."""
        for path in weight.paths if self._recording else ():
            self.uses[path].obstacle = reason

    def replaced(self, before: Sequence[Value], after: Sequence[Value], at: Location) -> None:
        """Record weights whose place is taken by activations, as with a learned initial state."""
        for one, other in zip(before, after, strict=True):
            if isinstance(one, Weight) and not isinstance(other, Weight):
                self.product(one, [Kind.KEPT] * len(one.axes), at)

    def fixed_point(
        self, body: Any, constants: Sequence[Value], carry: Sequence[Value], at: Location
    ) -> list[Value]:
        """Return the values of a loop's carry that a further step leaves unchanged."""
        values = list(carry)
        with self._without_recording():
            while True:
                after = self.run(body, [*constants, *values], at)[: len(values)]
                joined = [join(one, other) for one, other in zip(values, after, strict=True)]
                if joined == values:
                    break
                values = joined
        self.replaced(carry, values, at)
        return values

    @contextlib.contextmanager
    def _without_recording(self) -> Iterator[None]:
        before, self._recording = self._recording, False
        try:
            yield
        finally:
            self._recording = before

    def _apply(self, equation: Any, values: Sequence[Value], at: Location) -> Sequence[Value]:
        name = equation.primitive.name
        if name in primitives.CONTROL:
            return primitives.CONTROL[name](self, equation, values, at)
        body = called_jaxpr(equation)
        if body is not None:
            return self.run(body, values, at)
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


def interpret(model: UserModel, inputs: Sequence[Any]) -> Interpreter:
    """Trace a model's forward pass and follow its parameters through it."""
    assert model.forward is not None
    jaxpr = jax.make_jaxpr(model.forward)(model.parameters, model.state, *inputs)
    values: list[Value] = [
        Weight(tuple(frozenset({(path, axis)}) for axis in range(len(leaf.shape))))
        if leaf.shape
        else Other(data=False, scalar=True)
        for path, leaf in pytree_paths.leaves(model.parameters).items()
    ]
    values += [CONSTANT] * len(jax.tree.leaves(model.state))
    values += [Other(data=True)] * len(jax.tree.leaves(inputs))
    interpreter = Interpreter()
    interpreter.run(jaxpr, values)
    return interpreter

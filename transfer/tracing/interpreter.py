"""Interprets a forward pass: follows every parameter through a jaxpr until it meets the inputs."""

import collections
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from transfer import pytree_paths
from transfer.tracing import primitives, products
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
      contracted: the axes of weights whose products meet each other in such a sum.
    """

    def __init__(self) -> None:
        self.uses: dict[str, Uses] = collections.defaultdict(Uses)
        self.products: dict[Location, frozenset[str]] = {}
        self.activations: dict[Location, int] = {}
        self.contractions: dict[Location, int] = {}
        self.contracted: set[tuple[Labels, Labels]] = set()
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

    def product(
        self, weight: Weight, kinds: Sequence[Kind], at: Location, met: Value | None = None
    ) -> None:
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
            if isinstance(met, Other):
                self.uses[path].joined |= met.joined

    def contraction(self, terms: int, at: Location, pairs: Iterable[tuple[Labels, Labels]]) -> None:
        """Record that two activations are contracted with each other, and along which axes."""
        if self._recording:
            self.contractions[at] = terms
            self.contracted.update(pairs)

    def grouped(self, kernel: Weight, axis: int, channels: int, groups: int) -> None:
        """Record that a convolution takes its kernel's outputs in groups."""
        for path, own in kernel.axes[axis] if self._recording else ():
            inputs = {place for other, place in kernel.axes[channels] if other == path}
            leads = (path, own) in kernel.leads(axis)
            self.uses[path].groups.add((own, frozenset(inputs), groups, leads))

    def split(self, paths: Iterable[str], sizes: Sequence[int]) -> None:
        """Record that the outputs of weights are taken apart into parts of these sizes."""
        for path in paths if self._recording else ():
            self.uses[path].split.add(tuple(sizes))

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
        if name in products.PRODUCTS:
            met = [
                isinstance(value, Weight) and not (value.looked_up or value.repeated)
                for value in values
            ]
            self.activations[at] = met.index(False) if False in met else 0
            return [products.PRODUCTS[name](self, equation, values, at)]
        weights = [value for value in values if isinstance(value, Weight)]
        if not weights:
            others = [value for value in values if isinstance(value, Other)]
            return primitives.without_weights(self, equation, others)
        if name in primitives.SHAPES:
            return primitives.SHAPES[name](self, equation, values, at)
        return primitives.elementwise(self, equation, values, at)


def interpret(model: UserModel, inputs: Sequence[Any]) -> Interpreter:
    """Trace a model's forward pass and follow its parameters through it.

    A parameter that is multiplied with another one before either meets the inputs may be a factor
    of a weight, or an activation such as the latent vectors of a Perceiver. It is an activation if
    it is also added to activations; the forward pass is then interpreted once more.
    """
    assert model.forward is not None
    jaxpr = jax.make_jaxpr(model.forward)(model.parameters, model.state, *inputs)
    found = _interpreted(jaxpr, model, inputs, frozenset())
    sizes = {path: leaf.ndim for path, leaf in pytree_paths.flatten(model.parameters)}
    kept = frozenset(
        path
        for path, uses in found.uses.items()
        if uses.obstacle == products.ANOTHER_PARAMETER
        and any(use == dict.fromkeys(range(sizes[path]), Kind.KEPT) for use in uses.products)
    )
    return _interpreted(jaxpr, model, inputs, kept) if kept else found


def _interpreted(
    jaxpr: Any, model: UserModel, inputs: Sequence[Any], activations: frozenset[str]
) -> Interpreter:
    values: list[Value] = []
    for path, leaf in pytree_paths.flatten(model.parameters):
        axes = tuple(frozenset({(path, axis)}) for axis in range(len(leaf.shape)))
        weight = Weight(axes, looked_up=path in activations)
        values.append(weight if axes else Other(data=False, scalar=True))
    values += [CONSTANT] * len(jax.tree.leaves(model.state))
    values += [Other(data=True)] * len(jax.tree.leaves(inputs))
    interpreter = Interpreter()
    interpreter.run(jaxpr, values)
    return interpreter

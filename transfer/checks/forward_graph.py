"""A forward pass as one list of steps, and which products feed which."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from transfer import pytree_paths
from transfer.tracing.jaxprs import Location, called_jaxpr, scan_inputs
from transfer.tracing.user_model import UserModel

# What a step of a loop does to a value that it only slices, stacks or carries.
PASS = "pass"


@dataclasses.dataclass(frozen=True)
class Step:
    """One equation: its operands and results are numbers of values."""

    primitive: str
    settings: Mapping[str, Any]
    operands: tuple[int, ...]
    results: tuple[int, ...]
    at: Location


class ForwardGraph:
    """The equations of a forward pass with those of all functions that it calls, in order.

    Attributes:
      steps: the equations.
      shapes: the shape of every value.
      constants: the root mean square of every value that is written into the forward pass.
      parameters: the value of each parameter, by path.
      outputs: the values of the outputs.
      carried: (result, start) of everything that a loop carries from one step to the next.
      opaque: whether it has loops or branches, in which sizes are not followed.
    """

    def __init__(self, model: UserModel, inputs: Sequence[Any]):
        assert model.forward is not None
        closed = jax.make_jaxpr(model.forward)(model.parameters, model.state, *inputs)
        self.steps: list[Step] = []
        self.shapes: list[tuple[int, ...]] = []
        self.constants: dict[int, float] = {}
        self.carried: list[tuple[int, int]] = []
        self.opaque = False
        arguments = [self._new(variable.aval.shape) for variable in closed.jaxpr.invars]
        paths = [path for path, _ in pytree_paths.flatten(model.parameters)]
        self.parameters = dict(zip(paths, arguments, strict=False))
        self.outputs = self._read(closed, arguments, ())

    def producers(self, products: Iterable[Location]) -> dict[int, frozenset[Location]]:
        """Return by value the nearest of these products that it is made from."""
        chosen = set(products)
        made: dict[int, frozenset[Location]] = {}
        nothing: frozenset[Location] = frozenset()
        while True:
            before = dict(made)
            for step in self.steps:
                known = nothing.union(*(made.get(value, nothing) for value in step.operands))
                inside = {at for at in chosen if at[: len(step.at)] == step.at}
                for value in step.results:
                    made[value] = frozenset(inside) if inside else known
            for result, start in self.carried:
                made[start] = made.get(start, nothing) | made.get(result, nothing)
            if made == before:
                return made

    def _new(self, shape: Sequence[int]) -> int:
        self.shapes.append(tuple(shape))
        return len(self.shapes) - 1

    def _constant(self, array: Any) -> int:
        value = self._new(np.shape(array))
        dtype = array.dtype if hasattr(array, "dtype") else np.result_type(array)
        numeric = jnp.issubdtype(dtype, np.number)
        with np.errstate(all="ignore"):
            size = float(np.sqrt(np.mean(np.square(np.asarray(array, float))))) if numeric else 1.0
        self.constants[value] = size
        return value

    def _add(self, primitive: str, operands: Sequence[int], shape: Sequence[int], at: Any) -> int:
        result = self._new(shape)
        self.steps.append(Step(primitive, {}, tuple(operands), (result,), at))
        return result

    def _read(self, closed: Any, arguments: Sequence[int], at: Location) -> list[int]:
        """Append the equations of a jaxpr, and return the values of its outputs."""
        jaxpr = getattr(closed, "jaxpr", closed)
        values = dict(zip(jaxpr.invars, arguments, strict=True))
        for variable, array in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=False):
            values[variable] = self._constant(array)

        def value(variable: Any) -> int:
            if isinstance(variable, core.Literal):
                return self._constant(variable.val)
            return values[variable]

        for index, equation in enumerate(jaxpr.eqns):
            here = (*at, index)
            operands = [value(variable) for variable in equation.invars]
            body = called_jaxpr(equation)
            if body is not None:
                results = self._read(body, operands, here)
            elif equation.primitive.name == "scan":
                results = self._scan(equation, operands, here)
            else:
                self.opaque |= equation.primitive.name in ("while", "cond")
                results = [self._new(variable.aval.shape) for variable in equation.outvars]
                self.steps.append(
                    Step(
                        equation.primitive.name,
                        equation.params,
                        tuple(operands),
                        tuple(results),
                        here,
                    )
                )
            values.update(zip(equation.outvars, results, strict=True))
        return [value(variable) for variable in jaxpr.outvars]

    def _scan(self, equation: Any, operands: Sequence[int], at: Location) -> list[int]:
        """Append the body of a scan once, with its carry as what any step begins with."""
        self.opaque = True
        body = equation.params["jaxpr"]
        fixed, count = scan_inputs(equation)
        # A step of the loop lies at no equation of its own.
        arguments = [
            value if place < fixed else self._add(PASS, [value], variable.aval.shape, (*at, -1))
            for place, (value, variable) in enumerate(zip(operands, body.jaxpr.invars, strict=True))
        ]
        results = self._read(body, arguments, at)
        starts = arguments[fixed : fixed + count]
        self.carried += zip(results[:count], starts, strict=True)
        return [
            self._add(PASS, [value], variable.aval.shape, (*at, -1))
            for value, variable in zip(results, equation.outvars, strict=True)
        ]

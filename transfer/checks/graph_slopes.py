"""Slopes that a forward pass implies where a map to a fixed size lies inside of it.

At init a readout's outputs are of order width^-1/2 under muP. Inside a model, as in the neck of an
autoencoder, that small size passes on to what follows, and gradients come back through it. Two
passes over the equations follow the exponents of all sizes: forward those of activations (a) and
of their changes (c), backward those of gradients (g):

| equation                   | forward                         | backward, to x           |
|----------------------------|---------------------------------|--------------------------|
| y = A W x, W of std s      | a + A + s + 1/2 if fan-in grows | g + A + s + 1/2 if fan-out grows |
| its change by an update u  | a + A + u + 1 if fan-in grows   | to W: g + A + a          |
| x + z, relu, reshape       | the larger exponent             | g                        |
| x z                        | a + a_z; c by the product rule  | g + a_z                  |
| x^k                        | k a                             | g + (k - 1) a            |
| exp, logistic of x <= O(1) | 0                               | g                        |
| mean over width            | a                               | g - 1                    |

Sums over a growing axis that no weight takes part in count as means, and numbers that the forward
pass multiplies by as order 1, because a factor that follows width is what a check is to find.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from transfer.checks.forward_graph import PASS, ForwardGraph, Step
from transfer.scaling import Layout, Role, Slopes
from transfer.tracing.interpreter import Interpreter
from transfer.tracing.jaxprs import Location
from transfer.tracing.products import PRODUCTS

NOTHING = -math.inf  # The exponent of what is zero.
# Below it a number that is added, such as a norm's epsilon, is there for division by zero alone.
_NEGLIGIBLE = 1e-3

_SUMS = {
    *("add", "add_any", "sub", "concatenate", "max", "min", "clamp", "pad", "dynamic_update_slice"),
    *("scatter", "scatter-add", "select_n"),
}
_KEEPS = {
    *("reshape", "transpose", "squeeze", "slice", "dynamic_slice", "rev", "convert_element_type"),
    *("reduce_precision", "copy", "neg", "abs", "reduce_max", "reduce_min", "sort", "top_k"),
    *("cumsum", "split", "optimization_barrier", "name", "gather", "expand_dims", PASS, "real"),
    *("tanh", "erf", "sin", "log1p", "expm1", "asinh", "stop_gradient", "tile", "unstack"),
}
# Equations that repeat an operand of one entry along an axis of the other.
_BROADCASTS = {"add", "sub", "mul", "div", "max", "min", "add_any", "pow"}
_SATURATES = {"tanh", "erf", "sin", "log1p", "asinh"}
_ORDER_ONE = {"exp", "exp2", "logistic", "cos", "erfc"}
_POWERS = {"sqrt": 0.5, "rsqrt": -0.5, "square": 2.0, "cbrt": 1 / 3}
_NO_SIZE = {
    *("iota", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "argmax", "argmin"),
    *(
        "is_finite",
        "sign",
        "floor",
        "ceil",
        "round",
        "rem",
        "argsort",
        "random_bits",
        "rng_uniform",
    ),
    *("random_wrap", "random_unwrap", "random_fold_in", "random_seed", "shift_right_logical"),
    *("bitcast_convert_type", "random_split", "threefry2x32", "reduce_and", "reduce_or", "clz"),
    *("shift_left", "population_count"),
}


class _UnknownError(Exception):
    """An equation that no rule follows."""


@dataclasses.dataclass(frozen=True)
class DerivedSlopes:
    """Exponents of width: of activations and changes by product, of gradients by parameter.

    `loss_change` is that of the loss in the direction of the first update: the largest of what the
    parameters give, sum |gradient| |update|.
    """

    activations: Mapping[Location, float]
    changes: Mapping[Location, float]
    gradients: Mapping[str, float]
    output: float
    loss_change: float


def derive_slopes(
    slopes: Slopes,
    layout: Layout,
    interpreter: Interpreter,
    graphs: tuple[ForwardGraph, ForwardGraph],
    zeros: frozenset[str],
) -> DerivedSlopes | None:
    """Return the slopes that the forward pass implies, or None where an equation hides them.

    Arguments:
      graphs: the forward pass at two widths, whose shapes tell which axes grow.
      zeros: the parameters that start at zero.
    """
    narrow, wide = graphs
    alike = [step.primitive for step in narrow.steps] == [step.primitive for step in wide.steps]
    if narrow.opaque or not alike or len(narrow.shapes) != len(wide.shapes):
        return None
    try:
        return _Derivation(slopes, layout, interpreter, narrow, wide, zeros).derived()
    except _UnknownError:
        return None


class _Derivation:
    def __init__(
        self,
        slopes: Slopes,
        layout: Layout,
        interpreter: Interpreter,
        graph: ForwardGraph,
        wide: ForwardGraph,
        zeros: frozenset[str],
    ):
        self.slopes, self.layout, self.interpreter, self.graph = slopes, layout, interpreter, graph
        self.zeros = zeros
        self.grown = [
            tuple(small != large for small, large in zip(one, other, strict=True))
            for one, other in zip(graph.shapes, wide.shapes, strict=True)
        ]
        count = len(graph.shapes)
        self.sizes, self.changes = [0.0] * count, [NOTHING] * count
        self.gradients = [NOTHING] * count

    def derived(self) -> DerivedSlopes:
        for value, size in self.graph.constants.items():
            self.sizes[value] = NOTHING if size < _NEGLIGIBLE else 0.0
        for path, value in self.graph.parameters.items():
            # Matrices meet the activations in products, whose rule reads the recipe instead.
            self.sizes[value] = NOTHING if path in self.zeros else 0.0
        for step in self.graph.steps:
            self._forward(step)
        for value in self.graph.outputs:
            self.gradients[value] = 0.0
        of_matrices: dict[str, float] = {}
        for step in reversed(self.graph.steps):
            self._backward(step, of_matrices)
        found = {
            path: max(of_matrices.get(path, NOTHING), self.gradients[value])
            for path, value in self.graph.parameters.items()
        }
        # A linear step is a rate times the gradient, so that changes come last.
        self.updates = {path: self._update(path, found[path]) for path in self.layout}
        for path, value in self.graph.parameters.items():
            if path in self.layout and self.layout[path].axes.inputs is None:
                self.changes[value] = self.updates[path]
        for step in self.graph.steps:
            self._changed(step)
        return DerivedSlopes(
            {at: self.sizes[value] for at, value in self._results().items()},
            {at: self.changes[value] for at, value in self._results().items()},
            found,
            max(self.sizes[value] for value in self.graph.outputs),
            max(self._entries(path) + found[path] + self.updates[path] for path in self.layout),
        )

    def _results(self) -> dict[Location, int]:
        kept = (*self.interpreter.products, *self.interpreter.contractions)
        return {step.at: step.results[0] for step in self.graph.steps if step.at in kept}

    def _update(self, path: str, gradient: float) -> float:
        role = self.layout[path].role
        update = self.slopes.update(role)
        return update - self.slopes.gradient(role) + gradient if self._linear else update

    @property
    def _linear(self) -> bool:
        return self.slopes.family == "linear"

    def _entries(self, path: str) -> float:
        """Exponent of the number of entries that a gradient and an update have in common."""
        role = self.layout[path].role
        if role == Role.HIDDEN:
            # An update with equal singular values meets the few that a batch's gradient has.
            return 1.5 if self.slopes.family == "spectral" else 2.0
        return 0.0 if role == Role.SCALAR else 1.0

    def _matrix(self, step: Step) -> tuple[int, str, Role] | None:
        """Return the activations, a weight and its role, where a step is a product of both."""
        paths = self.interpreter.products.get(step.at)
        if paths is None or step.primitive not in PRODUCTS:
            return None
        # Learned queries and latent vectors are activations where they meet a matrix.
        matrices = [path for path in paths if self.layout[path].axes.inputs is not None]
        uses = {self._role(step, path) for path in matrices}
        if not uses:
            return None
        if len(uses) > 1:
            raise _UnknownError
        place = self.interpreter.activations.get(step.at, 0)
        # The indices of a lookup are no activations: what they look up has its own size.
        operand = step.operands[1 if step.primitive == "gather" else place]
        return operand, min(matrices), uses.pop()

    def _role(self, step: Step, path: str) -> Role:
        parameter = self.layout[path]
        if parameter.tied and step.primitive == "dot_general":
            return Role.OUTPUT
        return parameter.role

    def _gain(self, path: str, role: Role) -> float:
        """Exponent of multiplier times std, zero where the weight is."""
        if path in self.zeros:
            return NOTHING
        return self._multiplier(role) + self.slopes.weight(role)

    def _multiplier(self, role: Role) -> float:
        return float(self.slopes.recipe.exponents(role, self.slopes.family).multiplier.width)

    def _forward(self, step: Step) -> None:
        matrix = self._matrix(step)
        if matrix is not None:
            operand, path, role = matrix
            before = 0.0 if step.primitive == "gather" else self.sizes[operand]
            grows = role in (Role.HIDDEN, Role.OUTPUT)
            after = before + self._gain(path, role) + (0.5 if grows else 0.0)
            self._set(self.sizes, step, after)
            return
        a = [self.sizes[value] for value in step.operands]
        self._set(self.sizes, step, self._size(step, a))

    def _size(self, step: Step, a: Sequence[float]) -> float:
        name = step.primitive
        if name in ("min", "clamp"):
            # A bound, such as the 6 of relu6, leaves alone what is small.
            bounded = zip(step.operands, a, strict=True)
            a = [size for value, size in bounded if value not in self.graph.constants] or a
        if name == "dynamic_update_slice":
            a = a[:2]
        if name in _SUMS:
            return max(a[1:] if name == "select_n" else a[::2] if "scatter" in name else a)
        if name in _SATURATES:
            return min(a[0], 0.0)
        if name in _KEEPS or name in ("broadcast_in_dim", "reduce_sum"):
            return a[0]
        if name == "mul":
            return a[0] + a[1]
        if name == "div":
            return a[0] - self._divisor(a[1])
        if name in _ORDER_ONE or name in _NO_SIZE:
            return 0.0
        power = self._power(step)
        if power is not None:
            return power * (self._divisor(a[0]) if power < 0 else a[0])
        if name == "log" and a[0] == 0.0:
            return 0.0
        if name == "dot_general":
            return a[0] + a[1]
        raise _UnknownError

    def _divisor(self, exponent: float) -> float:
        if exponent == NOTHING:
            raise _UnknownError
        return exponent

    def _power(self, step: Step) -> float | None:
        if step.primitive == "integer_pow":
            return float(step.settings["y"])
        return _POWERS.get(step.primitive)

    def _slopes_in(self, step: Step) -> list[float]:
        """Exponent of the derivative of a step's result with respect to each operand."""
        a = [self.sizes[value] for value in step.operands]
        name = step.primitive
        if name in _NO_SIZE or name == "stop_gradient":
            return [NOTHING] * len(a)
        if name in ("mul", "dot_general"):
            return [a[1], a[0]]
        if name == "div":
            return [-a[1], a[0] - 2 * a[1]]
        if name in _SUMS and name != "select_n":
            return [NOTHING if "scatter" in name and place == 1 else 0.0 for place in range(len(a))]
        if name == "select_n":
            return [NOTHING, *[0.0] * (len(a) - 1)]
        power = self._power(step)
        if power is not None and power > 1:
            return [(power - 1) * a[0]]
        if power is not None:
            return [(power - 1) * self._divisor(a[0]) if power != 1 else 0.0]
        return [0.0, *[NOTHING] * (len(a) - 1)]

    def _changed(self, step: Step) -> None:
        matrix = self._matrix(step)
        if matrix is None:
            passes = zip(step.operands, self._slopes_in(step), strict=True)
            most = max((self.changes[value] + slope for value, slope in passes), default=NOTHING)
            self._set(self.changes, step, most)
            return
        operand, path, role = matrix
        lookup = step.primitive == "gather"
        a, c = (0.0, NOTHING) if lookup else (self.sizes[operand], self.changes[operand])
        # An update is aligned with what it multiplies.
        aligned = 1.0 if role in (Role.HIDDEN, Role.OUTPUT) else 0.0
        if self.slopes.family == "spectral" and role == Role.HIDDEN:
            aligned = 0.5
        own = a + self._multiplier(role) + self.updates[path] + aligned
        passed = c + self._gain(path, role) + aligned / 2
        if role == Role.OUTPUT:
            # A readout's init is aligned with the change that descends along it.
            passed = c + self._gain(path, role) + 1.0
        self._set(self.changes, step, max(own, passed))

    def _backward(self, step: Step, of_matrices: dict[str, float]) -> None:
        gradient = max(self.gradients[value] for value in step.results)
        if gradient == NOTHING:
            return
        matrix = self._matrix(step)
        if matrix is not None:
            operand, path, role = matrix
            lookup = step.primitive == "gather"
            before = 0.0 if lookup else self.sizes[operand]
            own = gradient + self._multiplier(role) + before
            for each in self.interpreter.products[step.at]:
                if self.layout[each].axes.inputs is None:
                    continue
                of_matrices[each] = max(of_matrices.get(each, NOTHING), own)
            if not lookup:
                # A depthwise kernel takes each channel by itself, however many there are.
                alone = role == Role.INPUT and any(self.grown[operand])
                grows = role in (Role.INPUT, Role.HIDDEN) and not alone
                self._reach(operand, gradient + self._gain(path, role) + (0.5 if grows else 0.0))
            return
        spread = self._spread(step)
        for value, slope, summed in zip(step.operands, self._slopes_in(step), spread, strict=True):
            self._reach(value, gradient + slope + summed)

    def _spread(self, step: Step) -> list[float]:
        """Exponent of the sums over width that bring gradients back to each operand."""
        name = step.primitive
        if name == "reduce_sum":
            grown = self.grown[step.operands[0]]
            return [-float(sum(grown[axis] for axis in step.settings["axes"]))]
        if name == "broadcast_in_dim":
            kept = step.settings["broadcast_dimensions"]
            grown = self.grown[step.results[0]]
            before = self.grown[step.operands[0]]
            own = {place for axis, place in enumerate(kept) if before[axis]}
            repeated = sum(grows for place, grows in enumerate(grown) if place not in own)
            return [0.5 * repeated, *[0.0] * (len(step.operands) - 1)]
        if name == "dot_general":
            contracted, batched = step.settings["dimension_numbers"]
            free = [
                sum(
                    grows
                    for axis, grows in enumerate(self.grown[value])
                    if axis not in (*summed, *batch)
                )
                for value, summed, batch in zip(step.operands, contracted, batched, strict=True)
            ]
            if any(self.grown[step.operands[0]][axis] for axis in contracted[0]):
                raise _UnknownError
            return [0.5 * free[1], 0.5 * free[0]]
        return [0.5 * self._repeats(name, value, step.results[0]) for value in step.operands]

    def _repeats(self, name: str, value: int, result: int) -> int:
        """Along how many growing axes an equation broadcasts an operand of one entry."""
        shape, grown = self.graph.shapes[value], self.grown[result]
        if name not in _BROADCASTS or len(shape) != len(grown):
            return 0
        return sum(size == 1 and grows for size, grows in zip(shape, grown, strict=True))

    def _reach(self, value: int, exponent: float) -> None:
        self.gradients[value] = max(self.gradients[value], exponent)

    def _set(self, where: list[float], step: Step, exponent: float) -> None:
        if math.isnan(exponent) or exponent == math.inf:
            raise _UnknownError
        for value in step.results:
            where[value] = exponent

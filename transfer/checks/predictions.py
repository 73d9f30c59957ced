"""The slope that theory predicts for each size that a coordinate check measures."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from transfer.analysis.slope import least_squares_slope
from transfer.checks.graph_slopes import DerivedSlopes
from transfer.checks.measured_sizes import SizeKey
from transfer.checks.rows import EXACT, Range
from transfer.checks.slope_interval import HALF_STEP
from transfer.checks.structure import LOSS, OUTPUT, Structure
from transfer.scaling import Layout, Role, Slopes
from transfer.scaling.powers import Growth, Power


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predicted slopes of every size; None where theory says nothing.

    A table of slopes by role (`Slopes`) holds for a model whose only map from the width to a fixed
    size is its last. Where another one lies inside, what the forward pass implies (`derived`) takes
    the table's place, and nothing is predicted of what depends on that map if `derived` is None.
    Without one, both are allowed where they differ, as after a bias of the output that is drawn.

    Arguments:
      slopes: the table of a recipe and a family.
      layouts: the model's layout by width; fan-in and fan-out may grow otherwise than the width.
      narrow_terms, wide_terms: the numbers of terms in the contractions of activations at the
        narrowest and the widest width. One that grows is taken for attention logits over a growing
        head dimension.
      structure: the products of the forward pass by name.
      derived: what the forward pass implies.
      zeros: the parameters that start at zero.
    """

    slopes: Slopes
    layouts: Mapping[int, Layout]
    narrow_terms: Mapping[str, int]
    wide_terms: Mapping[str, int]
    structure: Structure = dataclasses.field(default_factory=lambda: Structure({}, {}))
    derived: DerivedSlopes | None = None
    zeros: frozenset[str] | None = None

    def __call__(self, key: SizeKey) -> Range | None:
        """Return the lowest and the highest slope that theory allows one size."""
        quantity, name, step = key
        tabled = self._tabled(key)
        if tabled is None or quantity == "weight":
            return tabled
        if quantity == "update" and self.slopes.family != "linear":
            return tabled
        if self.derived is None:
            return None if self._behind_inner_maps(quantity, name) else tabled
        if quantity == "change" and self.structure.inner and not self.stable:
            return None
        found = self._derived(quantity, name, self.derived)
        if found is None or not all(map(math.isfinite, found)):
            return tabled
        low, high = found
        if self.structure.inner and not step:
            return low, high
        # Later steps find activations that the first ones have changed.
        return min(low, tabled[0]), max(high, tabled[1])

    def tolerance(self, key: SizeKey) -> float:
        """How far from its prediction the slope of a size agrees.

        Inits and steps that do not depend on a gradient's size follow their law at every width.
        """
        quantity, *_ = key
        exact = quantity == "weight" or (
            quantity == "update" and self.slopes.family in ("entrywise", "relative")
        )
        return EXACT if exact else HALF_STEP

    @property
    def layout(self) -> Layout:
        """The layout at the widest width."""
        return self.layouts[max(self.layouts)]

    @property
    def stable(self) -> bool:
        """Whether no change grows with width, so that later steps are like the first."""
        changes = (self.slopes.change(Role.HIDDEN), self.slopes.output_change)
        return max(changes) <= 0 and self.slopes.learning_rate == 0

    def grows(self, contraction: str) -> bool:
        """Whether the sums of a contraction of activations have more terms at a larger width."""
        return self.wide_terms[contraction] > self.narrow_terms[contraction]

    def _behind_inner_maps(self, quantity: str, name: str) -> bool:
        """Whether a size depends on what a map to a fixed size makes inside of the model."""
        if not self.structure.inner:
            return False
        if quantity in ("gradient", "update") or name == LOSS:
            return True
        return not self.structure.before(name).isdisjoint(self.structure.inner)

    def _derived(self, quantity: str, name: str, derived: DerivedSlopes) -> Range | None:
        if quantity in ("gradient", "update"):
            if name not in derived.gradients:
                return None
            role = self.layout[name].role
            slope = derived.gradients[name] + self._fan_correction(name, "gradient")
            if quantity == "update":
                slope += self.slopes.update(role) - self.slopes.gradient(role)
                slope += self._fan_correction(name, "update")
            return self._learned(role, slope)
        if name == LOSS:
            return _exactly(derived.loss_change)
        if name == OUTPUT and quantity == "change":
            return derived.loss_change - 0.5, derived.loss_change
        if name == OUTPUT:
            return self._output(derived.output)
        if name in self.wide_terms and self.grows(name):
            return None
        found = derived.activations if quantity == "activation" else derived.changes
        at = next(place for place, each in self.structure.names.items() if each == name)
        if quantity == "activation":
            return _exactly(found[at])
        return self._learned(self._role(name), found[at], change=True)

    def _tabled(self, key: SizeKey) -> Range | None:
        """Return the range of a model whose only map from the width to a fixed size is its last."""
        quantity, name, step = key
        if quantity == "weight":
            correction = self._fan_correction(name, "weight")
            return _exactly(self.slopes.weight(self.layout[name].role) + correction)
        if quantity in ("gradient", "update"):
            return self._of_parameter(quantity, name)
        if name in (OUTPUT, LOSS) and not self._reads_out:
            return None
        if name == OUTPUT and quantity == "activation":
            return self._output(self.slopes.output)
        if quantity == "activation":
            return _exactly(self._activation(name))
        if step and not self.stable:
            return None
        if name == LOSS:
            return _exactly(self.slopes.output_change)
        if name == OUTPUT:
            # With many outputs and inputs it takes a large width until their sums align.
            return self.slopes.output_change - 0.5, self.slopes.output_change
        if name in self.wide_terms:
            slope = self.slopes.attention_change(self.grows(name))
            # Queries that change because what is below them does are not aligned with the keys.
            return (slope - 0.5, slope) if self.grows(name) else _exactly(slope)
        role = self._role(name)
        if role == Role.OUTPUT:
            return self.slopes.output_change - 0.5, self.slopes.output_change
        return self._learned(role, self.slopes.change(role), change=True)

    @property
    def _reads_out(self) -> bool:
        """Whether the output is a sum over width."""
        return any(each.role == Role.OUTPUT or each.tied for each in self.layout.values())

    def _of_parameter(self, quantity: str, name: str) -> Range | None:
        role = self.layout[name].role
        linear = self.slopes.family == "linear"
        slope = self.slopes.gradient(role) if quantity == "gradient" else self.slopes.update(role)
        slope += self._fan_correction(name, quantity)
        if quantity == "update" and linear:
            slope += self._fan_correction(name, "gradient")
        if quantity == "update" and self.slopes.family == "spectral" and role == Role.HIDDEN:
            # A batch of fewer tokens than the width moves as many singular values, not all.
            return slope - 0.5, slope
        if quantity == "update" and not linear:
            return _exactly(slope)
        # The gradient of a parameter of fixed size sums over a growing number of uses, whose signs
        # need not agree.
        if role == Role.SCALAR:
            return None
        return self._learned(role, slope)

    def _learned(self, role: Role, slope: float, change: bool = False) -> Range:
        """Return the range of a size that follows gradients, whose slope is at most this one."""
        # At init the values that attention weights choose between are not aligned with what the
        # loss asks of them, so that queries and keys of a growing head dimension learn less. Those
        # that start at zero change by their own update alone, which is linear in the gradient.
        follows = self.slopes.family == "linear" or not change
        if follows and role == Role.HIDDEN and any(map(self.grows, self.wide_terms)):
            return slope - 0.5, slope
        return _exactly(slope)

    def _output(self, slope: float) -> Range:
        """Return the range of the output at init."""
        # A tied table meets its own rows in the readout, whose products with themselves align.
        tied = any(each.tied for each in self.layout.values())
        high = slope + 0.5 * tied
        if self.derived is None and self.zeros is not None:
            # A bias of the output that does not start at zero is of order 1 at any width.
            scalars = {path for path, each in self.layout.items() if each.role == Role.SCALAR}
            high = max(high, 0.0) if scalars - self.zeros else high
        return slope, high

    def _activation(self, name: str) -> float:
        if name in self.wide_terms:
            return self.slopes.attention(self.grows(name))
        return self.slopes.output if self._role(name) == Role.OUTPUT else 0.0

    def _role(self, name: str) -> Role:
        # Of several weights fused into one product the widest use counts.
        roles = {self.layout[path].role for path in name.split("+") if path in self.layout}
        for role in (Role.HIDDEN, Role.INPUT):
            if role in roles:
                return role
        return Role.OUTPUT

    def _fan_correction(self, path: str, quantity: str) -> float:
        """By how much a factor's slope differs because its fans do not grow as the width does.

        A feed-forward size that is rounded to a multiple of 64 grows from 192 to 256 where the
        width doubles; the recipe's factors are of the fans.
        """
        role, family = self.layout[path].role, self.slopes.family
        recipe = self.slopes.recipe
        if quantity == "gradient":
            # Epsilon is scaled as gradients are, which no rates change.
            power = dataclasses.replace(recipe, rates="full").exponents(role, family).epsilon
        else:
            row = recipe.exponents(role, family)
            power = row.std if quantity == "weight" else row.learning_rate
        if quantity == "update" and family == "relative":
            power = power * recipe.exponents(role, family).std
        return self._slope_of(power, path) - float(power.width) if len(self.layouts) > 1 else 0.0

    def _slope_of(self, power: Power, path: str) -> float:
        logs = [np.log2(self._factor(power, layout, path)) for layout in self.layouts.values()]
        slope = least_squares_slope(np.log2(list(self.layouts)), np.array(logs))
        # Rounding would make -1 of what is exact -0.9999999.
        return round(slope, 9)

    @staticmethod
    def _factor(power: Power, layout: Layout, path: str) -> float:
        parameter = layout[path]
        return power.at(Growth(fan_in=parameter.m_in, fan_out=parameter.m_out))


def _exactly(slope: float) -> Range:
    return slope, slope

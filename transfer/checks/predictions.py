"""The slope that theory predicts for each size that a coordinate check measures."""

import dataclasses
from collections.abc import Mapping

from transfer.checks.measured_sizes import LOSS, OUTPUT, SizeKey
from transfer.checks.rows import Range
from transfer.scaling import Layout, Role, Slopes


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predicted slopes of every size; None where theory says nothing.

    `terms` are the numbers of terms in the contractions of activations at the narrowest and the
    widest width: one that grows is taken for attention logits over a growing head dimension.
    `narrowed` counts the inner maps from the width to a fixed size before each activation. Under a
    rule that lets a readout vanish with width, so does what such a map produces, and whatever
    depends on it alone; a norm or a softmax after it undoes that.
    """

    slopes: Slopes
    layout: Layout
    narrow_terms: Mapping[str, int]
    wide_terms: Mapping[str, int]
    narrowed: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __call__(self, key: SizeKey) -> Range | None:
        """Return the lowest and the highest slope that theory allows one size."""
        quantity, name, _ = key
        predicted = self._of_one_map(key)
        if predicted is None or quantity == "weight":
            return predicted
        if quantity == "update" and self.slopes.family != "linear":
            return predicted
        # A gradient passes through every map on its way, before and after the parameter.
        maps = self.narrowed.get(OUTPUT if quantity in ("gradient", "update") else name, 0)
        if maps and quantity == "change" and self.slopes.output_change > 0.0:
            return None
        low, high = predicted
        return low + maps * min(self.slopes.output, 0.0), high

    def _of_one_map(self, key: SizeKey) -> Range | None:
        """Return the range of a model whose only map from the width to a fixed size is its last."""
        quantity, name, step = key
        if quantity == "weight":
            return _exactly(self.slopes.weight(self.layout[name].role))
        if quantity in ("gradient", "update"):
            return self._of_parameter(quantity, self.layout[name].role)
        if name in (OUTPUT, LOSS) and not self._reads_out:
            return None
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
        slope = self.slopes.change(role)
        # Queries that start at zero change by their own update alone.
        return self._learned(role, slope) if self.slopes.family == "linear" else _exactly(slope)

    @property
    def stable(self) -> bool:
        """Whether no change grows with width, so that later steps are like the first."""
        changes = (self.slopes.change(Role.HIDDEN), self.slopes.output_change)
        return max(changes) <= 0 and self.slopes.learning_rate == 0

    @property
    def _reads_out(self) -> bool:
        """Whether the output is a sum over width."""
        return any(each.role == Role.OUTPUT or each.tied for each in self.layout.values())

    def grows(self, contraction: str) -> bool:
        """Whether the sums of a contraction of activations have more terms at a larger width."""
        return self.wide_terms[contraction] > self.narrow_terms[contraction]

    def _of_parameter(self, quantity: str, role: Role) -> Range | None:
        slope = self.slopes.gradient(role) if quantity == "gradient" else self.slopes.update(role)
        if quantity == "update" and self.slopes.family == "spectral" and role == Role.HIDDEN:
            # A batch of fewer tokens than the width moves as many singular values, not all.
            return slope - 0.5, slope
        if quantity == "update" and self.slopes.family != "linear":
            return _exactly(slope)
        # The gradient of a parameter of fixed size sums over a growing number of uses, whose signs
        # need not agree.
        if role == Role.SCALAR:
            return None
        return self._learned(role, slope)

    def _learned(self, role: Role, slope: float) -> Range:
        """Return the range of a size that follows gradients, whose slope is at most this one."""
        # At init the values that attention weights choose between are not aligned with what the
        # loss asks of them, so that queries and keys of a growing head dimension learn less.
        if role == Role.HIDDEN and any(map(self.grows, self.wide_terms)):
            return slope - 0.5, slope
        return _exactly(slope)

    def _activation(self, name: str) -> float:
        if name == OUTPUT:
            return self.slopes.output
        return self.slopes.attention(self.grows(name)) if name in self.wide_terms else 0.0

    def _role(self, name: str) -> Role:
        # Of several weights fused into one product the widest use counts.
        roles = {self.layout[path].role for path in name.split("+")}
        return Role.HIDDEN if Role.HIDDEN in roles else Role.INPUT


def _exactly(slope: float) -> Range:
    return slope, slope

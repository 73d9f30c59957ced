"""Which slope theory predicts for each size that a coordinate check measures."""

import dataclasses
from collections.abc import Mapping

from transfer.checks.sizes import OUTPUT, Key
from transfer.scaling import Layout, Role, Slopes


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predicted slope of every size; None where theory says nothing.

    `terms` are the numbers of terms in the contractions of activations at the narrowest and the
    widest width: one that grows is taken for attention logits over a growing head dimension.
    """

    slopes: Slopes
    layout: Layout
    narrow_terms: Mapping[str, int]
    wide_terms: Mapping[str, int]

    def __call__(self, key: Key) -> float | None:
        """Return the slope of one size."""
        quantity, name, step = key
        if quantity in ("weight", "gradient", "update"):
            role = self.layout[name].role
            # The gradient of a parameter of fixed size sums over a growing number of uses, whose
            # signs need not agree.
            judged = role != Role.SCALAR or (quantity == "update" and self._normalised)
            return getattr(self.slopes, quantity)(role) if judged else None
        if quantity == "activation":
            return self._activation(name)
        if step and not self.stable:
            return None
        if name == OUTPUT:
            return self.slopes.output_change
        if name in self.wide_terms:
            return self.slopes.attention_change(self.grows(name))
        return self.slopes.change(self._role(name))

    @property
    def stable(self) -> bool:
        """Whether no change grows with width, so that later steps are like the first."""
        changes = (self.slopes.change(Role.HIDDEN), self.slopes.output_change)
        return max(changes) <= 0 and self.slopes.learning_rate == 0

    def grows(self, contraction: str) -> bool:
        """Whether the sums of a contraction of activations have more terms at a larger width."""
        return self.wide_terms[contraction] > self.narrow_terms[contraction]

    @property
    def _normalised(self) -> bool:
        return self.slopes.family == "entrywise"

    def _activation(self, name: str) -> float:
        if name == OUTPUT:
            return self.slopes.output
        return self.slopes.attention(self.grows(name)) if name in self.wide_terms else 0.0

    def _role(self, name: str) -> Role:
        # Of several weights fused into one product the widest use counts.
        roles = {self.layout[path].role for path in name.split("+")}
        return Role.HIDDEN if Role.HIDDEN in roles else Role.INPUT

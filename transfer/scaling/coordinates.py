"""How sizes inside a network follow width under a recipe: what a coordinate check should find.

All slopes are exponents of width, to first order in the step, where every growing axis grows alike.
With A the multiplier, s the std, g the gradient of w and u its first update, as exponents:

| size                       | slope                                                            |
|----------------------------|------------------------------------------------------------------|
| activations                | 0                                                                |
| output                     | A + s + 1/2 of the readout: a sum of independent terms           |
| change of an input layer   | A + u                                                            |
| change of a hidden layer   | A + u + 1, of its own weight; or that of the layer below          |
| change of the output       | A + u + 1 of the readout; or A + s + 1 more than the layer below |

An update is aligned with what it multiplies, so that its sum over width gains 1 and not 1/2; and
so is the readout's init with the change of what it reads, which descends along it.

Source: arXiv 2011.14522 (section 3), 2203.03466 (appendix J), 2407.05872 (section 3).
"""

import dataclasses

from transfer.scaling.parameter import Role
from transfer.scaling.recipe import Recipe
from transfer.scaling.rule import Family


@dataclasses.dataclass(frozen=True)
class Slopes:
    """Exponents of width under one recipe and one family of optimizers.

    `learning_rate` is the exponent by which a caller's own learning rate follows width, besides
    what the recipe does.

    Example:
      >>> slopes = Slopes(Recipe("standard"), "entrywise")
      >>> slopes.change(Role.INPUT), slopes.change(Role.HIDDEN), slopes.output_change
      (0.0, 1.0, 1.5)
      >>> slopes = Slopes(Recipe("mup"), "linear")
      >>> slopes.output, slopes.change(Role.HIDDEN), slopes.output_change
      (-0.5, 0.0, 0.0)
    """

    recipe: Recipe
    family: Family
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", Recipe.of(self.recipe))  # which may be a name

    def weight(self, role: Role) -> float:
        """Init of w."""
        return self._slope(role, "std")

    def gradient(self, role: Role) -> float:
        """Gradient of w at init."""
        # Epsilon is scaled as gradients are, which no rates change.
        full = dataclasses.replace(self.recipe, rates="full")
        return _slope(full, self.family, role, "epsilon")

    def update(self, role: Role) -> float:
        """First update of w."""
        rate = self._slope(role, "learning_rate") + self.learning_rate
        if self.family == "linear":
            return rate + self.gradient(role)
        if self.family == "relative":
            return rate + self.weight(role)
        # The entries of a matrix with all singular values 1.
        return rate - (0.5 if self.family == "spectral" and role == Role.HIDDEN else 0.0)

    def change(self, role: Role) -> float:
        """First change of the activations that a layer of this role produces."""
        below = [self._own(Role.INPUT)]
        return max(below if role == Role.INPUT else [*below, self._own(Role.HIDDEN)])

    @property
    def output(self) -> float:
        """The network's output at init."""
        return self._slope(Role.OUTPUT, "multiplier") + self.weight(Role.OUTPUT) + 0.5

    @property
    def output_change(self) -> float:
        """First change of the network's output."""
        return max(self._own(Role.OUTPUT), self.output + 0.5 + self.change(Role.HIDDEN))

    def attention(self, grows: bool) -> float:
        """Attention logits at init, where the head dimension grows or where it is fixed."""
        return float(self.recipe.contraction.width) + 0.5 if grows else 0.0

    def attention_change(self, grows: bool) -> float:
        """First change of attention logits: queries change along the keys."""
        return self.change(Role.HIDDEN) + (self.attention(grows) + 0.5 if grows else 0.0)

    def _own(self, role: Role) -> float:
        """Change of a layer's output by its own update."""
        aligned = 0.0 if role == Role.INPUT else 1.0
        if self.family == "spectral" and role == Role.HIDDEN:
            # No input is moved by more than the largest singular value, aligned or not.
            aligned = 0.5
        return self._slope(role, "multiplier") + self.update(role) + aligned

    def _slope(self, role: Role, column: str) -> float:
        return _slope(self.recipe, self.family, role, column)


def _slope(recipe: Recipe, family: Family, role: Role, column: str) -> float:
    return float(getattr(recipe.exponents(role, family), column).width)

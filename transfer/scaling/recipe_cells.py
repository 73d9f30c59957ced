"""What a recipe gives each role, as text."""

from fractions import Fraction
from typing import TYPE_CHECKING

from transfer.scaling import decay as decay_rules
from transfer.scaling.calibration import Calibration
from transfer.scaling.powers import Power
from transfer.scaling.roles import Role
from transfer.scaling.rule import Family

if TYPE_CHECKING:
    from transfer.scaling.recipe import Recipe

_COLUMNS = ("std", "multiplier", "learning_rate", "epsilon")
_ONE = Power()


def recipe_cells(recipe: "Recipe", family: Family) -> list[list[str]]:
    """Header and a row per role: powers of the growth of fan-in and fan-out.

    Example:
      >>> from transfer.scaling.recipe import Recipe
      >>> for row in recipe_cells(Recipe("mup"), "entrywise")[:3]:
      ...     print(*row, sep=" | ")
      role | init std | multiplier | learning rate | epsilon | weight decay
      input | 1 | 1 | 1 | out^-1 | 0
      hidden | in^-1/2 | 1 | in^-1 | out^-1 | in^1/2
    """
    header = ["role", "init std", "multiplier", "learning rate", "epsilon", "weight decay"]
    rows = []
    for role in Role:
        columns = recipe.columns(role, family)
        powers = [str(columns[name]) for name in _COLUMNS]
        rows.append([role.value, *powers, _decay(recipe, role, columns, family)])
    return [header, *rows]


def _decay(recipe: "Recipe", role: Role, columns: dict[str, Power], family: Family) -> str:
    """As `Recipe.rule` has it."""
    if role == Role.HIDDEN and family == "entrywise":
        if isinstance(recipe.decay, Calibration):
            return str(recipe.decay)
        if recipe.decay == decay_rules.INDEPENDENT:
            return str(_ONE / columns["learning_rate"])
        decay = recipe.decay
        exponent = decay_rules.EXPONENTS[decay] if isinstance(decay, str) else decay
        return str(Power(Fraction(str(exponent))) * columns["multiplier"])
    if role == Role.HIDDEN or (role == Role.OUTPUT and recipe.decay_readout):
        return str(_ONE / columns["learning_rate"])
    return "0"

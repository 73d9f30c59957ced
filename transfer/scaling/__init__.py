"""The theory, as plain data: roles, tables, decay rules, recipes and regimes.

Knows nothing of JAX.
"""

from transfer.scaling.axes import Axes
from transfer.scaling.coordinates import Slopes
from transfer.scaling.explain import Explanation, explain
from transfer.scaling.exponents import Exponents, LayerExponents
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters
from transfer.scaling.layout import Annotated, Layout, Parameter
from transfer.scaling.parametrizations import PARAMETRIZATIONS
from transfer.scaling.recipe import Family, Recipe, Rule, multiplier
from transfer.scaling.regimes import ALIGNMENTS, Alignment, classify_regime
from transfer.scaling.roles import Role
from transfer.scaling.spectral import spectral_std
from transfer.scaling.verdict import Condition, Regime, Verdict, Violation

__all__ = [
    "ALIGNMENTS",
    "MULTIPLIERS",
    "PARAMETRIZATIONS",
    "Alignment",
    "Annotated",
    "Axes",
    "Condition",
    "Explanation",
    "Exponents",
    "Family",
    "Hyperparameters",
    "LayerExponents",
    "Layout",
    "Parameter",
    "Recipe",
    "Regime",
    "Role",
    "Rule",
    "Slopes",
    "Verdict",
    "Violation",
    "classify_regime",
    "explain",
    "multiplier",
    "spectral_std",
]

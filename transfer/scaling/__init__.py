"""The theory, as plain data: roles, tables, decay rules, recipes and regimes.

Knows nothing of JAX.
"""

from transfer.scaling.axes import Axes
from transfer.scaling.calibration import Calibration
from transfer.scaling.coordinates import Slopes
from transfer.scaling.explain import Explanation, explain
from transfer.scaling.exponents import Exponents, LayerExponents
from transfer.scaling.gauge import Gauge
from transfer.scaling.horizon import Horizon
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters
from transfer.scaling.layout import Annotated, Layout, Parameter
from transfer.scaling.moves import Move, Scale, moves
from transfer.scaling.parametrizations import PARAMETRIZATIONS
from transfer.scaling.recipe import Recipe, multiplier
from transfer.scaling.regimes import ALIGNMENTS, Alignment, classify_regime
from transfer.scaling.roles import Role
from transfer.scaling.rule import Family, Rule
from transfer.scaling.spectral import spectral_std
from transfer.scaling.symmetry import shift
from transfer.scaling.verdict import Condition, Regime, Verdict, Violation

__all__ = [
    "ALIGNMENTS",
    "MULTIPLIERS",
    "PARAMETRIZATIONS",
    "Alignment",
    "Annotated",
    "Axes",
    "Calibration",
    "Condition",
    "Explanation",
    "Exponents",
    "Family",
    "Gauge",
    "Horizon",
    "Hyperparameters",
    "LayerExponents",
    "Layout",
    "Move",
    "Parameter",
    "Recipe",
    "Regime",
    "Role",
    "Rule",
    "Scale",
    "Slopes",
    "Verdict",
    "Violation",
    "classify_regime",
    "explain",
    "moves",
    "multiplier",
    "shift",
    "spectral_std",
]

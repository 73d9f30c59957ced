"""The theory, as plain data: roles, tables, decay rules, recipes and regimes.

Knows nothing of JAX.
"""

from typing import TYPE_CHECKING

from transfer.renamed import renamed
from transfer.scaling.abc_exponents import Exponents, LayerExponents
from transfer.scaling.axes import Axes
from transfer.scaling.coordinates import Slopes
from transfer.scaling.decay import Calibration
from transfer.scaling.evidence import Evidence
from transfer.scaling.explain import Explanation, explain
from transfer.scaling.extrapolation import Extrapolation, Scale, extrapolate
from transfer.scaling.horizon import Horizon
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters
from transfer.scaling.layout import Layout
from transfer.scaling.measured_horizon import MeasuredHorizon
from transfer.scaling.multiplier import multiplier
from transfer.scaling.parameter import Annotated, Parameter, Role
from transfer.scaling.parametrizations import PARAMETRIZATIONS
from transfer.scaling.recipe import Recipe
from transfer.scaling.regime_report import Condition, Regime, RegimeReport, Violation
from transfer.scaling.regimes import ALIGNMENTS, Alignment, classify_regime
from transfer.scaling.reparametrization import Reparametrization, reparametrize
from transfer.scaling.rule import ExponentRow, Family, Rule
from transfer.scaling.spectral_init import spectral_std

__all__ = [
    "ALIGNMENTS",
    "MULTIPLIERS",
    "PARAMETRIZATIONS",
    "Alignment",
    "Annotated",
    "Axes",
    "Calibration",
    "Condition",
    "Evidence",
    "Explanation",
    "ExponentRow",
    "Exponents",
    "Extrapolation",
    "Family",
    "Horizon",
    "Hyperparameters",
    "LayerExponents",
    "Layout",
    "MeasuredHorizon",
    "Parameter",
    "Recipe",
    "Regime",
    "RegimeReport",
    "Reparametrization",
    "Role",
    "Rule",
    "Scale",
    "Slopes",
    "Violation",
    "classify_regime",
    "explain",
    "extrapolate",
    "multiplier",
    "reparametrize",
    "spectral_std",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        "transfer.scaling",
        {
            "Gauge": "transfer.scaling.Reparametrization",
            "Move": "transfer.scaling.Extrapolation",
            "moves": "transfer.scaling.extrapolate",
        },
        deprecated={"Verdict": "RegimeReport", "shift": "reparametrize"},
    )

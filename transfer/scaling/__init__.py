"""The theory, as plain data: roles, tables, decay rules and recipes. Knows nothing of JAX."""

from transfer.scaling.axes import Axes
from transfer.scaling.coordinates import Slopes
from transfer.scaling.explain import Explanation, explain
from transfer.scaling.gauge import Gauge
from transfer.scaling.horizon import Horizon
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters
from transfer.scaling.layout import Annotated, Layout, Parameter
from transfer.scaling.moves import Move, Scale, moves
from transfer.scaling.parametrizations import PARAMETRIZATIONS
from transfer.scaling.recipe import Recipe, multiplier
from transfer.scaling.roles import Role
from transfer.scaling.rule import Family, Rule
from transfer.scaling.spectral import spectral_std
from transfer.scaling.symmetry import shift

__all__ = [
    "MULTIPLIERS",
    "PARAMETRIZATIONS",
    "Annotated",
    "Axes",
    "Explanation",
    "Family",
    "Gauge",
    "Horizon",
    "Hyperparameters",
    "Layout",
    "Move",
    "Parameter",
    "Recipe",
    "Role",
    "Rule",
    "Scale",
    "Slopes",
    "explain",
    "moves",
    "multiplier",
    "shift",
    "spectral_std",
]

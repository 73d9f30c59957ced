"""The theory, as plain data: roles, tables, decay rules and recipes. Knows nothing of JAX."""

from transfer.scaling.axes import Axes
from transfer.scaling.coordinates import Slopes
from transfer.scaling.explain import Explanation, explain
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters
from transfer.scaling.layout import Annotated, Layout, Parameter
from transfer.scaling.parametrizations import PARAMETRIZATIONS
from transfer.scaling.recipe import Family, Recipe, Rule, multiplier
from transfer.scaling.roles import Role
from transfer.scaling.spectral import spectral_std

__all__ = [
    "MULTIPLIERS",
    "PARAMETRIZATIONS",
    "Annotated",
    "Axes",
    "Explanation",
    "Family",
    "Hyperparameters",
    "Layout",
    "Parameter",
    "Recipe",
    "Role",
    "Rule",
    "Slopes",
    "explain",
    "multiplier",
    "spectral_std",
]

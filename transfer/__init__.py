"""Tune AdamW on narrow proxies, move the hyperparameters to a wide model, and see why it holds.

The library face; names are imported when they are first used, so that the command line is quick.
"""

import importlib
import typing

from transfer.optim import OPTIMIZERS
from transfer.renamed import renamed

__version__ = "0.1.0"

if typing.TYPE_CHECKING:
    from transfer.checks import check
    from transfer.errors import TransferError
    from transfer.models import model_layout
    from transfer.optim import *
    from transfer.probes import top_singular_values
    from transfer.recipe_arrays import RecipeArrays
    from transfer.scaling import (
        Annotated,
        Axes,
        Calibration,
        Exponents,
        Hyperparameters,
        Layout,
        Recipe,
        Regime,
        RegimeReport,
        Role,
        classify_regime,
        explain,
        multiplier,
        spectral_std,
    )
    from transfer.sweeps.results import trials
    from transfer.tracing import infer_layout, rescale_init

_HOMES = {
    "transfer.checks": ("check",),
    "transfer.errors": ("TransferError",),
    "transfer.sweeps.results": ("trials",),
    "transfer.tracing": ("infer_layout", "rescale_init"),
    "transfer.models": ("model_layout",),
    "transfer.optim": (*OPTIMIZERS, "gradient_norm", "scaled", "schedule"),
    "transfer.probes": ("top_singular_values",),
    "transfer.recipe_arrays": ("RecipeArrays",),
    "transfer.scaling": (
        "Annotated",
        "Axes",
        "Calibration",
        "Exponents",
        "Hyperparameters",
        "Layout",
        "Recipe",
        "Regime",
        "RegimeReport",
        "Role",
        "classify_regime",
        "explain",
        "multiplier",
        "spectral_std",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

_missing = renamed(
    "transfer",
    {
        "inference": "transfer.tracing",
        "processes": "transfer.distributed",
        "runs": "transfer.run_directory",
        "sweep": "transfer.sweeps",
    },
    deprecated={"Verdict": "RegimeReport"},
    stacklevel=3,
)

__all__ = sorted(_HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in _HOME:
        return _missing(name)
    return getattr(importlib.import_module(_HOME[name]), name)

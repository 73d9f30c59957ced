"""A simulated sweep as a table of trials, as a run directory holds them."""

from typing import Any

import numpy as np

from experiments.coverage.scenarios import Simulated
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS

RECIPE = "mup+sqrt"
NARROWEST = 32


def width_of(place: int) -> int:
    """The width of a place among increasing widths, which double."""
    return NARROWEST * 2**place


def trials_of(simulated: Simulated, origin: str = "sweep") -> list[TrialResult]:
    """Return all trials of a simulated sweep."""
    return [
        _trial(width_of(place), rate, decay, seed, float(losses[i, j, seed]), origin)
        for place, (rates, losses) in enumerate(zip(simulated.rates, simulated.losses, strict=True))
        for i, rate in enumerate(rates)
        for j, decay in enumerate(simulated.decays)
        for seed in range(losses.shape[2])
    ]


def _trial(
    width: int, rate: float, decay: float, seed: int, loss: float, origin: str
) -> TrialResult:
    diverged = not np.isfinite(loss)
    fields: dict[str, Any] = dict.fromkeys(MULTIPLIERS, 1.0) | {
        "trial": f"{width} {rate} {decay} {seed}",
        "group": "simulated",
        "origin": origin,
        "width": width,
        "base_width": NARROWEST,
        "layers": 2,
        "batch_size": 16,
        "recipe": RECIPE,
        "parametrization": "mup",
        "rates": "full",
        "decay_rule": "sqrt",
        "depth_rule": "",
        "horizon_rule": "",
        "clipping": "invariant",
        "optimizer": "adamw",
        "learning_rate": 2.0**rate,
        "weight_decay": 2.0**decay,
        "seed": seed,
        "steps": 100,
        "tokens": 1000,
        "trunk": "",
        "parameters": width**2,
        "flops": 6000.0 * width**2,
        "status": "diverged" if diverged else "completed",
        "loss": float("nan") if diverged else loss,
        "eval_loss": float("nan") if diverged else loss,
        "eval_accuracy": float("nan"),
        "objective": "eval_loss",
        "decay_times": 4.0,
        "wall_seconds": 1.0,
        "compile_seconds": 0.5,
        "execution": "vectorized",
    }
    return TrialResult(**fields)

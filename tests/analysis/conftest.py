"""Sweeps with known optima, as lists of trials."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from transfer.run_directory import TrialResult

LossOf = Callable[[int, float, float], float]


@dataclasses.dataclass
class Sweep:
    """Builds trials whose held-out loss is `loss(width, log2 lr, log2 decay)` plus seed noise.

    Noise has a part that a seed shares over all settings (it cancels in differences) and a part of
    each trial's own. An infinite loss is a diverged trial.
    """

    recipe: str = "mup+sqrt"
    rates: str = "full"
    decay: str = "sqrt"
    settled: float = 4.0
    shared_noise: float = 0.0
    noise: float = 0.0
    generator_seed: int = 0

    def __call__(
        self,
        loss: LossOf,
        widths: Iterable[int],
        log2_rates: Iterable[float],
        seeds: int = 1,
        log2_decays: Iterable[float] = (-3.0,),
        origin: str = "sweep",
        **changes: float,
    ) -> list[TrialResult]:
        generator = np.random.default_rng(self.generator_seed)
        by_seed = generator.normal(0, self.shared_noise, seeds)
        trials = []
        for width in widths:
            for rate in log2_rates:
                for decay in log2_decays:
                    for seed in range(seeds):
                        value = loss(width, rate, decay)
                        value += by_seed[seed] + generator.normal(0, self.noise)
                        trials.append(self._trial(width, rate, decay, seed, value, origin, changes))
        return trials

    def _trial(self, width, rate, decay, seed, value, origin, changes) -> TrialResult:
        diverged = not np.isfinite(value)
        fields = {
            "trial": f"{self.recipe} {width} {rate} {decay} {seed} {origin} {changes}",
            "group": "g",
            "origin": origin,
            "width": width,
            "base_width": 32,
            "layers": 2,
            "batch_size": 16,
            "recipe": self.recipe,
            "parametrization": self.recipe.partition("+")[0],
            "rates": self.rates,
            "decay_rule": self.decay,
            "depth_rule": "",
            "horizon_rule": "",
            "clipping": "invariant",
            "optimizer": "adamw",
            "learning_rate": 2.0**rate,
            "weight_decay": 2.0**decay,
            "input_learning_rate": 1.0,
            "readout_learning_rate": 1.0,
            "init_scale": 1.0,
            "embedding_output": 1.0,
            "readout_output": 1.0,
            "attention_logits": 1.0,
            "seed": seed,
            "steps": 100,
            "tokens": 1000,
            "trunk": "",
            "parameters": width * width,
            "flops": 6.0 * width * width * 1000,
            "status": "diverged" if diverged else "completed",
            "loss": float("nan") if diverged else value,
            "eval_loss": float("nan") if diverged else value,
            "eval_accuracy": float("nan") if diverged else 0.5,
            "objective": "eval_loss",
            "decay_times": self.settled,
            "wall_seconds": 1.0,
            "compile_seconds": 0.5,
            "execution": "vectorised",
        }
        return TrialResult(**(fields | changes))


@pytest.fixture(scope="session")
def sweep() -> type[Sweep]:
    return Sweep

"""A run directory with a recipe that transfers, one that drifts and one too short to tell."""

import dataclasses

import numpy as np
import pytest

from transfer.run_directory import RunDirectory, TrialResult

WIDTHS = (32, 64, 128, 256)
GRID = range(-10, -2)
SEEDS = 3
SUBLAYERS = ("query", "key", "value", "output", "gate", "up", "down")


@dataclasses.dataclass
class Recipe:
    """A synthetic recipe: how its optimum drifts, where it diverges, and its spectrum's slope."""

    name: str
    rates: str
    drift: float
    diverges_above: float
    spectrum_slope: float
    decay: str

    def loss(self, width, rate):
        m = np.log2(width / 32)
        if rate > self.diverges_above + self.drift * m:
            return np.inf
        off = rate + 6 - self.drift * m
        return 2.2 - 0.12 * m + 0.02 * off**2 + 0.03 * np.exp(1.2 * off)


RECIPES = (
    Recipe("mup+sqrt", "full", 0.0, -3, 0.0, "sqrt"),
    Recipe("mup+constant", "full", -0.15, -3, 0.22, "constant"),
    Recipe("standard", "uniform", -0.8, -4, 0.7, "constant"),
)


def trial_of(recipe, width, rate, seed, loss, origin) -> TrialResult:
    diverged = not np.isfinite(loss)
    return TrialResult(
        trial=f"{recipe.name} {width} {rate} {seed} {origin}",
        group=recipe.name,
        origin=origin,
        width=width,
        base_width=32,
        layers=2,
        batch_size=16,
        recipe=recipe.name,
        parametrization=recipe.name.partition("+")[0],
        rates=recipe.rates,
        decay_rule=recipe.decay,
        depth_rule="",
        horizon_rule="",
        clipping="invariant",
        optimizer="adamw",
        learning_rate=2.0**rate,
        weight_decay=0.1,
        input_learning_rate=1.0,
        readout_learning_rate=1.0,
        init_scale=1.0,
        embedding_output=1.0,
        readout_output=1.0,
        attention_logits=1.0,
        seed=seed,
        steps=400,
        tokens=400_000,
        trunk="",
        parameters=12 * width**2,
        flops=6.0 * 12 * width**2 * 400_000,
        status="diverged" if diverged else "completed",
        loss=float("nan") if diverged else loss,
        eval_loss=float("nan") if diverged else loss,
        eval_accuracy=float("nan") if diverged else 0.5,
        objective="eval_loss",
        decay_times=3.5,
        wall_seconds=1.0,
        compile_seconds=0.5,
        execution="vectorised",
    )


def metrics_of(trial, generator):
    steps = np.arange(0, trial.steps, 2)
    loss = trial.eval_loss + 2.5 * (1 + steps / 8) ** -0.8
    loss = loss + generator.normal(0, 0.03, steps.size)
    return [
        {"trial": trial.trial, "step": s, "loss": v, "grad_norm": 1.0, "learning_rate": 0.01}
        for s, v in zip(steps.tolist(), loss.tolist(), strict=True)
    ]


def spectrum_of(trial, recipe, generator):
    m = trial.width / 32
    return [
        {
            "trial": trial.trial,
            "step": trial.steps,
            "parameter": f"blocks.{'attention' if k < 4 else 'feed_forward'}.{name}.kernel",
            "layer": layer,
            "rank": 0,
            "singular_value": (1.2 + 0.35 * k)
            * m ** (recipe.spectrum_slope + 0.04 * (k % 3 - 1))
            * float(np.exp(generator.normal(0, 0.02))),
        }
        for k, name in enumerate(SUBLAYERS)
        for layer in range(2)
    ]


def build_run(path, recipes=RECIPES, records=True) -> RunDirectory:
    generator = np.random.default_rng(0)
    run = RunDirectory(path)
    for recipe in recipes:
        places = [(w, float(r), "sweep") for w in WIDTHS for r in GRID]
        places.append((512, -6.1, "predicted"))
        trials = [
            trial_of(recipe, w, r, seed, recipe.loss(w, r) + generator.normal(0, 0.004), origin)
            for w, r, origin in places
            for seed in range(SEEDS)
        ]
        finished = [t for t in trials if t.status == "completed" and records]
        run.add_group(
            recipe.name,
            trials,
            [row for t in finished for row in metrics_of(t, generator)],
            [row for t in finished for row in spectrum_of(t, recipe, generator)],
        )
    return run


def build_decay_run(path) -> RunDirectory:
    """A sweep of learning rate and decay at two widths, with spectra at three steps."""
    generator = np.random.default_rng(1)
    recipe, run = RECIPES[0], RunDirectory(path)
    trials = [
        dataclasses.replace(
            trial_of(recipe, width, rate, seed, loss + generator.normal(0, 0.001), "sweep"),
            trial=f"{width} {rate} {decay} {seed}",
            weight_decay=2.0**decay,
        )
        for width in WIDTHS[:2]
        for rate in range(-8, -3)
        for decay in range(-5, -1)
        for seed in range(2)
        # The wildest corner diverges.
        for loss in [
            recipe.loss(width, rate) + 0.01 * (decay + 4) ** 2 if rate + decay < -6 else np.inf
        ]
    ]
    completed = [trial for trial in trials if trial.status == "completed"]
    spectrum = [
        {**row, "step": step, "singular_value": row["singular_value"] * (0.5 + step / trial.steps)}
        for trial in completed
        for step in (0, trial.steps // 2, trial.steps)
        for row in spectrum_of(trial, recipe, generator)
    ]
    metrics = [row for trial in completed for row in metrics_of(trial, generator)]
    run.add_group(recipe.name, trials, metrics, spectrum)
    return run


@pytest.fixture(scope="session")
def decay_run(tmp_path_factory) -> RunDirectory:
    return build_decay_run(tmp_path_factory.mktemp("decays"))


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> RunDirectory:
    return build_run(tmp_path_factory.mktemp("run"))

"""From what a population measured to the rows of the run directory."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfer import optim, probes
from transfer.config import Experiment
from transfer.run_directory import Trial
from transfer.scaling import Family, Layout, Parameter, Recipe, Role
from transfer.sweeps.groups import Group, trial_name
from transfer.training import Outcome, TrainingConfig

Row = dict[str, Any]
# Of a group: its trials, and the rows of metrics, spectrum and gains.
Rows = tuple[list[Trial], list[Row], list[Row], list[Row]]


def learning_rates(experiment: Experiment, group: Group, steps: int) -> np.ndarray:
    """Return the learning rates (trial, step) of a group, as they read at the base width."""
    training, horizon = experiment.training, experiment.horizon(group.width, group.recipe)
    shape = optim.schedule(training.schedule, steps, training.warmup, training.decay_steps)
    schedule = np.array([float(shape(step)) for step in range(steps)])
    peaks = np.array([setting.hyperparameters.learning_rate for setting in group.settings])
    return peaks[:, None] * horizon.learning_rate * schedule


def tables(experiment: Experiment, group: Group, outcome: Outcome) -> Rows:
    """Return the rows of trials, metrics, spectrum and gains that a trained group gives."""
    recipe = experiment.recipe.build(group.recipe)
    layout = experiment.layout(group.width).parameters
    horizon, training = experiment.horizon(group.width, group.recipe), experiment.training
    all_rates = learning_rates(experiment, group, outcome.steps)
    tokens = outcome.steps * experiment.data.tokens_per_step
    last_tenth = slice(-max(1, outcome.steps // 10), None)

    trials: list[Trial] = []
    metrics: list[Row] = []
    spectrum: list[Row] = []
    gains: list[Row] = []
    for index, setting in enumerate(group.settings):
        name, hyperparameters = trial_name(experiment, group, setting), setting.hyperparameters
        diverged = bool(outcome.diverged[index])
        losses = outcome.history["loss"][index]
        rates = all_rates[index]
        decay = (
            hyperparameters.weight_decay
            * horizon.weight_decay
            * _hidden_decay(recipe, layout, training.family)
        )
        trials.append(
            Trial(
                trial=name,
                group=group.name,
                origin=setting.origin,
                width=group.width,
                base_width=experiment.base_width,
                layers=getattr(experiment.model, "layers", 1),
                batch_size=experiment.data.batch_size,
                recipe=group.recipe,
                parametrization=recipe.parametrization,
                rates=recipe.rates,
                decay_rule=str(recipe.decay),
                depth_rule=recipe.depth,
                horizon_rule=recipe.horizon,
                clipping=recipe.clipping if training.clip else "none",
                optimizer=training.optimizer,
                **dataclasses.asdict(hyperparameters),
                seed=setting.seed,
                steps=outcome.steps,
                tokens=tokens,
                trunk="",
                parameters=outcome.parameters,
                flops=outcome.flops,
                status="diverged" if diverged else "completed",
                loss=_unless(diverged, losses[last_tenth].mean()),
                eval_loss=_unless(diverged, outcome.held_out["loss"][index]),
                eval_accuracy=_unless(diverged, outcome.held_out["accuracy"][index]),
                objective=experiment.sweep.objective,
                decay_times=float(rates.sum() * decay),
                wall_seconds=outcome.seconds / len(group.settings),
                compile_seconds=outcome.compile_seconds / len(group.settings),
                execution=outcome.execution,
            )
        )
        metrics += [
            {
                "trial": name,
                "step": step + 1,
                "loss": float(losses[step]),
                "grad_norm": float(outcome.history["grad_norm"][index, step]),
                "learning_rate": float(rates[step]),
            }
            for step in range(outcome.steps)
        ]
        spectrum += _spectrum(name, index, outcome)
        # What the last step before each measurement used; the first step's before any.
        rates_then = rates[np.maximum(np.array(outcome.measured_at) - 1, 0)]
        decay_at_base = hyperparameters.weight_decay * horizon.weight_decay
        gains += _gains(
            name,
            index,
            outcome,
            {
                path: _equilibrium_rms(
                    recipe, layout[path], training.at(horizon), rates_then, decay_at_base
                )
                for path in outcome.spectrum
            },
        )
    return trials, metrics, spectrum, gains


def _spectrum(trial: str, index: int, outcome: Outcome) -> list[Row]:
    rows = []
    for parameter in outcome.spectrum:
        values, bounds = (
            outcome.measured[quantity][parameter][index].reshape(
                len(outcome.measured_at), -1, outcome.spectrum[parameter].shape[-1]
            )
            for quantity in ("spectrum", "bounds")
        )
        rows += [
            {
                "trial": trial,
                "step": outcome.measured_at[at],
                "parameter": parameter,
                "layer": layer,
                "rank": rank,
                "singular_value": float(values[at, layer, rank]),
                "bound": float(bounds[at, layer, rank]),
            }
            for at, layer, rank in np.ndindex(values.shape)
        ]
    return rows


def _gains(
    trial: str, index: int, outcome: Outcome, equilibrium: Mapping[str, np.ndarray]
) -> list[Row]:
    """Rows of the table of gains; `equilibrium` is by path and measurement."""
    rows = []
    for parameter in outcome.spectrum:
        columns = {
            quantity: outcome.measured[quantity][parameter][index].reshape(
                len(outcome.measured_at), -1
            )
            for quantity in ("gain", "alignment", "stable_rank", "rms", "update")
        }
        rows += [
            {
                "trial": trial,
                "step": outcome.measured_at[at],
                "parameter": parameter,
                "layer": layer,
                **{quantity: float(values[at, layer]) for quantity, values in columns.items()},
                "equilibrium_rms": float(equilibrium[parameter][at]),
            }
            for at, layer in np.ndindex(columns["gain"].shape)
        ]
    return rows


def _equilibrium_rms(
    recipe: Recipe, parameter: Parameter, training: TrainingConfig, rates: np.ndarray, decay: float
) -> np.ndarray:
    """Of the effective weight, at rates and a decay of the base model; NaN but for AdamW."""
    rule = recipe.rule(parameter, training.family)
    if training.optimizer != "adamw" or decay * rule.weight_decay == 0:
        return np.full(len(rates), np.nan)
    # A rate of zero has no equilibrium.
    moving: np.ndarray = np.where(rates > 0, rates, np.nan) * rule.learning_rate
    rms = probes.equilibrium_rms(moving, decay * rule.weight_decay, training.b1)
    return recipe.multiplier(parameter) * rms


def _unless(diverged: bool, value: float) -> float:
    return float("nan") if diverged else float(value)


def _hidden_decay(recipe: Recipe, layout: Layout, family: Family) -> float:
    """lr * decay of the hidden matrices over that of the base model, of the slowest to settle."""
    rules = recipe.rules(layout, family).values()
    products = [
        rule.learning_rate * rule.weight_decay for rule in rules if rule.role == Role.HIDDEN
    ]
    return min(products, default=0.0)

"""From what a population measured to the rows of the run directory."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from transfer import optim, probes
from transfer.run_directory import TrialResult
from transfer.scaling import Family, Layout, Parameter, Recipe, Role
from transfer.sweeps.horizon_rows import horizon_rows
from transfer.training import Outcome, TrainingConfig, TrialGroup
from transfer.training.noise_scale import CURVE, noise_scale

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class GroupTables:
    """What the run directory keeps of a trained group: rows of its four tables."""

    trials: list[TrialResult]
    metrics: list[Row]
    spectrum: list[Row]
    gains: list[Row]


def learning_rates(group: TrialGroup) -> np.ndarray:
    """Return the learning rates (trial, step) of a group, as they read at the base width."""
    training, steps = group.training, group.shape.steps
    shape = optim.schedule(training.schedule, steps, training.warmup, training.decay_steps)
    schedule = np.array([float(shape(step)) for step in range(steps)])
    peaks = np.array(
        [
            trial.hyperparameters.learning_rate * group.horizon(trial.recipe).learning_rate
            for trial in group.trials
        ]
    )
    return peaks[:, None] * schedule


def tables(group: TrialGroup, outcome: Outcome) -> GroupTables:
    """Return the rows of trials, metrics, spectrum and gains that a trained group gives."""
    layout, training = group.layout.parameters, group.training
    all_rates = learning_rates(group)
    last_tenth = slice(-max(1, outcome.steps // 10), None)

    found = GroupTables([], [], [], [])
    for index, trial in enumerate(group.trials):
        name, recipe = group.trial_name(trial), trial.recipe
        hyperparameters, horizon = trial.hyperparameters, group.horizon(recipe)
        diverged, stopped = bool(outcome.diverged[index]), bool(outcome.stopped[index])
        # A trial that diverged counts as one of the whole length, whenever it was stopped.
        taken = outcome.steps_taken(index)
        steps = taken if stopped else outcome.steps
        losses = outcome.history["loss"][index]
        rates = all_rates[index]
        decay_at_base = hyperparameters.weight_decay * horizon.weight_decay
        decay = decay_at_base * _hidden_decay(recipe, layout, training.family)
        trunk = TrialResult(
            trial=name,
            group=group.name,
            origin=trial.origin,
            width=group.shape.width,
            base_width=group.base.width,
            layers=group.shape.layers,
            batch_size=group.shape.batch_size,
            **recipe_columns(recipe, training),
            optimizer=training.optimizer,
            **dataclasses.asdict(hyperparameters),
            seed=trial.seed,
            steps=steps,
            tokens=steps * group.data.tokens_per_step,
            trunk="",
            parameters=outcome.parameters,
            flops=outcome.flops * ((taken + outcome.branch_steps(index)) / outcome.steps),
            status="diverged" if diverged else "stopped" if stopped else "completed",
            loss=_unless(diverged or stopped, losses[last_tenth].mean()),
            eval_loss=_unless(diverged or stopped, outcome.held_out["loss"][index]),
            eval_accuracy=_unless(diverged or stopped, outcome.held_out["accuracy"][index]),
            objective=group.objective,
            decay_times=float(rates[:steps].sum() * decay),
            wall_seconds=outcome.seconds / len(group.trials),
            compile_seconds=outcome.compile_seconds / len(group.trials),
            execution=outcome.execution,
            noise_scale=_noise_scale(outcome, index, group.shape.batch_size),
        )
        read_off, curves = horizon_rows(group, outcome, index, trunk, rates)
        found.trials.extend([trunk, *read_off])
        found.metrics.extend(
            {
                "trial": name,
                "step": step + 1,
                "loss": float(losses[step]),
                "grad_norm": float(outcome.history["grad_norm"][index, step]),
                "learning_rate": float(rates[step]),
            }
            for step in range(taken)
        )
        found.metrics.extend(curves)
        found.spectrum.extend(_until(taken, _spectrum(name, index, outcome)))
        # What the last step before each measurement used; the first step's before any.
        rates_then = rates[np.maximum(np.array(outcome.measured_at) - 1, 0)]
        equilibrium = {
            path: _equilibrium_rms(
                recipe, layout[path], training.at(horizon), rates_then, decay_at_base
            )
            for path in outcome.spectrum
        }
        found.gains.extend(_until(taken, _gains(name, index, outcome, equilibrium)))
    return found


def recipe_columns(recipe: Recipe, training: TrainingConfig) -> dict[str, Any]:
    """Return a recipe's name and parts as the columns of a trial."""
    return {
        "recipe": str(recipe),
        "parametrization": recipe.parametrization,
        "rates": recipe.rates,
        "decay_rule": str(recipe.decay),
        "depth_rule": recipe.depth,
        "horizon_rule": str(recipe.horizon),
        "clipping": recipe.clipping if training.clip else "none",
    }


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
            for quantity in probes.SUBLAYER_QUANTITIES
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


def _until(step: int, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows of measurements up to a step, after which the trial may have been stopped."""
    return (row for row in rows if row["step"] <= step)


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


def _noise_scale(outcome: Outcome, index: int, batch_size: int) -> float | None:
    """The gradient noise scale of a trial; None where it was not measured or the trial diverged."""
    if CURVE not in outcome.history or outcome.diverged[index]:
        return None
    grad_norm, grad_noise = (outcome.history[name][index] for name in ("grad_norm", CURVE))
    return noise_scale(grad_norm, grad_noise, batch_size)

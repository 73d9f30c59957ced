"""From a prediction to the run that it is made for, along width, depth, batch size and duration."""

import dataclasses

from transfer.analysis import Prediction
from transfer.config import Experiment, read
from transfer.errors import TransferError
from transfer.scaling import Recipe, Scale
from transfer.scaling.measured_horizon import MEASURED
from transfer.sweeps.target_values import target_values


def extrapolated(
    experiment: Experiment,
    prediction: Prediction,
    *,
    layers: int | None = None,
    batch_size: int | None = None,
    tokens: int | None = None,
) -> Prediction:
    """Return a prediction from a sweep's experiment, extrapolated along the other axes too.

    What is None stays as in the sweep. With it comes what every parameter of the target is trained
    with. Raises `TransferError` when the recipe has no rule for what changes, or the target cannot
    be trained.
    """
    if tokens is None and batch_size is not None and experiment.training.tokens_per_parameter:
        raise TransferError(
            "The sweep's number of tokens follows the number of parameters, so that of the target "
            "is not known; expected --tokens=TOKENS beside --batch_size."
        )
    proxy = proxy_scale(experiment, prediction)
    target = dataclasses.replace(
        proxy,
        width=prediction.target_width,
        layers=layers or proxy.layers,
        batch_size=batch_size or proxy.batch_size,
        tokens=tokens or proxy.tokens,
    )
    prediction = prediction.extrapolated(
        recipe_of(experiment, prediction),
        experiment.training.family,
        proxy=proxy,
        target=target,
        base=base_scale(experiment, proxy),
    )
    run = target_experiment(experiment, prediction).single_run("predicted")
    return dataclasses.replace(prediction, at_target=target_values(run))


def target_experiment(experiment: Experiment, prediction: Prediction) -> Experiment:
    """Return the experiment that trains the target of a prediction from this sweep's experiment.

    Warmup and decay steps keep their share of the run. Raises `TransferError` when the prediction
    was made for another base, where its numbers would mean something else.
    """
    _require_base(experiment, prediction)
    content = dataclasses.asdict(experiment)
    content["model"]["width"] = prediction.target_width
    content["recipe"]["name"] = prediction.recipe
    if prediction.calibration is not None:
        content["recipe"]["calibration"] = dataclasses.asdict(prediction.calibration)
    if prediction.horizon is not None:
        content["recipe"]["horizon"] = MEASURED
        content["recipe"]["measured_horizon"] = dataclasses.asdict(prediction.horizon)
    content["hyperparameters"] = dataclasses.asdict(prediction.hyperparameters)
    if prediction.target_layers is not None:
        content["base_layers"] = prediction.base_layers
        content["model"]["layers"] = prediction.target_layers
    if prediction.target_batch_size is not None and prediction.target_tokens is not None:
        content["base_batch_size"] = prediction.base_batch_size
        content["base_tokens"] = prediction.base_tokens
        content["data"]["batch_size"] = prediction.target_batch_size
        data = dataclasses.replace(experiment.data, batch_size=prediction.target_batch_size)
        per_step = data.tokens_per_step
        steps = max(1, round(prediction.target_tokens / per_step))
        longer = steps / experiment.steps(prediction.proxy_widths[-1])
        content["training"]["steps"], content["training"]["tokens_per_parameter"] = steps, 0.0
        for phase in ("warmup", "decay_steps"):
            content["training"][phase] = round(getattr(experiment.training, phase) * longer)
    return read(content)


def _require_base(experiment: Experiment, prediction: Prediction) -> None:
    own = experiment.group(experiment.model.width).shape
    meant = {
        "base width": (prediction.base_width, experiment.base_width),
        "base depth": (prediction.base_layers, experiment.base_layers or own.layers),
        "base batch size": (
            prediction.base_batch_size,
            experiment.base_batch_size or own.batch_size,
        ),
    }
    if prediction.base_tokens is not None:
        tokens = base_scale(experiment, proxy_scale(experiment, prediction)).tokens
        meant["base number of tokens"] = prediction.base_tokens, tokens
    for name, (there, here) in meant.items():
        if there not in (None, here):
            raise TransferError(
                f"The hyperparameters are meant at {name} {there} but the configuration has "
                f"{here}; expected the sweep's own configuration."
            )


def recipe_of(experiment: Experiment, prediction: Prediction) -> Recipe:
    """The recipe of a prediction, with the options and exponents that its name does not tell."""
    calibration = prediction.calibration or experiment.recipe.calibration
    rules = dataclasses.replace(experiment.recipe, calibration=calibration)
    if prediction.horizon is not None:
        rules = dataclasses.replace(rules, horizon=MEASURED, measured_horizon=prediction.horizon)
    return rules.build(prediction.recipe)


def proxy_scale(experiment: Experiment, prediction: Prediction) -> Scale:
    """How large the widest proxy was."""
    shape = experiment.group(prediction.proxy_widths[-1]).shape
    return Scale(
        width=shape.width, layers=shape.layers, batch_size=shape.batch_size, tokens=shape.tokens
    )


def base_scale(experiment: Experiment, proxy: Scale) -> Scale:
    """What the experiment declares as its base, and for the rest the widest proxy."""
    return dataclasses.replace(
        proxy,
        width=experiment.base_width,
        layers=experiment.base_layers or proxy.layers,
        batch_size=experiment.base_batch_size or proxy.batch_size,
        tokens=experiment.base_tokens or proxy.tokens,
    )

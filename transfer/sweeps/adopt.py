"""Whether a configuration is the one that hyperparameters were tuned for, and what moves if not.

A configuration may differ from the sweep's in width, depth, batch size and length, which rules of
the recipe cover, and in what does not decide an optimum. Everything else is refused.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from transfer.analysis import Prediction
from transfer.config import Experiment, read
from transfer.data import is_same_data_name
from transfer.errors import TransferError
from transfer.scaling import Scale, extrapolate
from transfer.sweeps.target import base_scale, proxy_scale, recipe_of, target_experiment

_SECTIONS = ("model", "recipe", "hyperparameters", "data", "training")
_BASES = ("base_width", "base_layers", "base_batch_size", "base_tokens")
# How the work is done, kept and shown, and how much of it is evaluated.
_BESIDE = {
    "model.attention",
    "model.convolution",
    "model.remat",
    "data.data_dir",  # what lies there is told by its fingerprint
    "data.eval_images",
    "data.eval_sequences",
    *(
        f"training.{name}"
        for name in (
            "average_share",
            "branch_steps",
            "checkpoint_every",
            "checkpoints_kept",
            "execution",
            "horizons",
            "log_every",
            "microbatches",
            "noise_scale",
            "spectrum_every",
            "tensorboard",
        )
    ),
}
# What a rule may cover, and what the prediction itself says.
_LENGTH = ("training.steps", "training.tokens_per_parameter")
_SIZES = {"model.width", "model.layers", "data.batch_size", *_LENGTH}
_PHASES = ("training.warmup", "training.decay_steps")
_MOST_TOLD = 3
_ALL_THE_SAME = "--allow_mismatch to train it all the same"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adopted:
    """What trains with the hyperparameters of a prediction.

    Fields:
      experiment: of the target.
      notes: a sentence for each thing that is not as in the sweep, or not known.
      data_fingerprint: that of the data the hyperparameters were tuned on; empty if any will do.
    """

    experiment: Experiment
    notes: tuple[str, ...] = ()
    data_fingerprint: str = ""


@dataclasses.dataclass(frozen=True)
class _Difference:
    """A key of the configuration, the sweep's value, and the configuration's own."""

    key: str
    tuned: Any
    own: Any

    def __str__(self) -> str:
        return f"{self.key} is {_text(self.own)} but was {_text(self.tuned)}"


def tuned_for(experiment: Experiment, data_fingerprint: str) -> dict[str, Any]:
    """Return as plain JSON what the hyperparameters of a sweep hold for.

    That is its configuration without what names, seeds, shares and searches, and its data.
    """
    content = json.loads(json.dumps(dataclasses.asdict(experiment)))
    kept = {key: content[key] for key in (*_BASES, *_SECTIONS)}
    return {"experiment": kept, "data_fingerprint": data_fingerprint}


def adopted(
    experiment: Experiment, prediction: Prediction, *, allow_mismatch: bool = False
) -> Adopted:
    """Return what trains an experiment with the hyperparameters of a prediction.

    The prediction's sizes hold where the experiment has the sweep's own. Another width, depth,
    batch size or length is moved to where the recipe has a rule for it, and told.

    Arguments:
      allow_mismatch: let the experiment have its way in everything else too, and tell it.

    Raises:
      TransferError: the experiment differs from the sweep in something that no rule covers.
    """
    if prediction.tuned_for is None:
        note = (
            "The hyperparameters do not say what they were tuned for (an earlier version wrote "
            "them), so that only their base is checked, and not optimizer, depth, batch size, "
            "length and data."
        )
        return Adopted(experiment=target_experiment(experiment, prediction), notes=(note,))
    sweep = _sweep(prediction.tuned_for)
    if (tuned := _kinds(sweep)) != (own := _kinds(experiment)):
        raise TransferError(
            f"The hyperparameters were tuned for a {' on '.join(tuned)} and the configuration is "
            f"of a {' on '.join(own)}; expected the sweep's own configuration."
        )
    if experiment.sweep.is_ladder:
        # Its own sizes are those of no rung in particular.
        sizes = {*_SIZES, *_PHASES} - {"model.width"}
        experiment = _with(experiment, _values(sweep, sizes))
    differences = list(_differences(sweep, experiment, prediction))
    moved = prediction
    notes: tuple[str, ...] = ()
    wanted = _wanted(sweep, experiment, prediction)
    if wanted is None:
        differences += _sizes_that_differ(sweep, experiment, prediction)
    elif wanted != _predicted(sweep, prediction):
        try:
            moved, notes = _moved(sweep, experiment, prediction, wanted)
        except TransferError as error:
            if not allow_mismatch:
                said = str(error).rstrip(".")
                raise TransferError(f"{said}, or {_ALL_THE_SAME}.") from error
            differences += _sizes_that_differ(sweep, experiment, prediction)
    if differences and not allow_mismatch:
        told = "; ".join(map(str, differences[:_MOST_TOLD]))
        more = len(differences) - _MOST_TOLD
        raise TransferError(
            f"The configuration is not what the hyperparameters were tuned for ({told}"
            f"{f'; and {more} more' if more > 0 else ''}); expected the sweep's own configuration, "
            f"or {_ALL_THE_SAME}."
        )
    # Sizes follow from those of the sweep.
    aligned = _with(experiment, _values(sweep, [*_SIZES, *_PHASES, *_BASES]))
    target = target_experiment(aligned, moved)
    if differences:
        target = _with(target, _as_configured(experiment, differences))
        return Adopted(experiment=target, notes=(*notes, *(f"{each}." for each in differences)))
    # A phase of another length is a configuration's own where it is the same share of the run.
    swept, given = _flat(sweep), _values(experiment, _PHASES)
    target = _with(target, {key: value for key, value in given.items() if value != swept[key]})
    phases = [
        f"{key} is {value}, the same share of the run as in the sweep."
        for key, value in _values(target, _PHASES).items()
        if value != given[key]
    ]
    return Adopted(
        experiment=target,
        notes=(*notes, *phases),
        data_fingerprint=str(prediction.tuned_for.get("data_fingerprint", "")),
    )


def _as_configured(experiment: Experiment, differences: Sequence[_Difference]) -> dict[str, Any]:
    """The configuration's own values of what differs; if sizes do, of all that belongs to them."""
    own = {each.key for each in differences}
    if own & _SIZES:
        own |= {*_SIZES - {"model.width"}, *_PHASES, *_BASES}
    return _values(experiment, own)


def _sweep(record: Mapping[str, Any]) -> Experiment:
    """The experiment of the sweep, as a prediction records it."""
    try:
        return read(record["experiment"])
    except (KeyError, TypeError, ValueError, TransferError) as error:
        raise TransferError(
            "The hyperparameters do not say what they were tuned for as this version writes it "
            f"({str(error).rstrip('.')}); write them anew with transfer predict."
        ) from error


def require_tuned_data(tuned_on: str, fingerprint: str, where: str) -> None:
    """Raise `TransferError` when data differ from those that hyperparameters were tuned on."""
    if tuned_on != fingerprint:
        raise TransferError(
            f"The data differ from those that the hyperparameters of {where} were tuned on "
            f"(fingerprint {fingerprint[:12]}, expected {tuned_on[:12]}); expected the same data "
            "set, splits and tokenizer and, for stdlib_text, the same Python, or "
            f"{_ALL_THE_SAME}."
        )


def _kinds(experiment: Experiment) -> tuple[str, str]:
    return experiment.model.kind, experiment.data.kind


def _differences(
    sweep: Experiment, experiment: Experiment, prediction: Prediction
) -> Iterator[_Difference]:
    """What no rule covers."""
    tuned, own = _flat(sweep), _flat(experiment)
    predicted = dataclasses.asdict(prediction.hyperparameters)
    for key in sorted(tuned.keys() | own.keys()):
        if key in _BESIDE | _SIZES:
            continue
        accepted = [tuned.get(key)]
        if key == "recipe.name":
            accepted = [str(sweep.recipe.build()), prediction.recipe]
            own[key] = str(experiment.recipe.build())
        elif key in ("recipe.depth", "recipe.horizon") and not tuned.get(key):
            continue  # a rule that changes nothing at the sweep's own sizes
        elif key.startswith("hyperparameters."):
            accepted.append(predicted[key.removeprefix("hyperparameters.")])
        elif key in _BASES and key != "base_width":
            # Undeclared, a base is the sweep's own.
            base = base_scale(sweep, proxy_scale(sweep, prediction))
            accepted += [0, getattr(base, key.removeprefix("base_"))]
        elif key in _PHASES:
            accepted.append(_share(sweep, experiment, prediction, key))
        elif key == "data.name" and is_same_data_name(tuned.get(key), own.get(key)):
            continue
        if own.get(key) not in accepted:
            yield _Difference(key, tuned.get(key), own.get(key))


def _share(sweep: Experiment, experiment: Experiment, prediction: Prediction, key: str) -> int:
    """The length of a phase that is the same share of the run as in the sweep."""
    phase = getattr(sweep.training, key.removeprefix("training."))
    longer = experiment.steps(experiment.model.width) / sweep.steps(prediction.proxy_widths[-1])
    return round(phase * longer)


def _predicted(sweep: Experiment, prediction: Prediction) -> Scale:
    """How large the target of the prediction is."""
    proxy = proxy_scale(sweep, prediction)
    return Scale(
        width=prediction.target_width,
        layers=prediction.target_layers or proxy.layers,
        batch_size=prediction.target_batch_size or proxy.batch_size,
        tokens=prediction.target_tokens or proxy.tokens,
    )


def _wanted(sweep: Experiment, experiment: Experiment, prediction: Prediction) -> Scale | None:
    """How large the experiment is to be, where it does not leave that to the prediction.

    None where it says so in a way that the sweep's does not compare with.
    """
    predicted = _predicted(sweep, prediction)
    own = experiment.group(experiment.model.width).shape
    there = sweep.group(sweep.model.width).shape
    width = predicted.width if own.width == there.width else own.width
    layers = predicted.layers if own.layers == there.layers else own.layers
    batch_size = predicted.batch_size if own.batch_size == there.batch_size else own.batch_size
    same_length = all(_flat(sweep)[key] == _flat(experiment)[key] for key in _LENGTH)
    if same_length and batch_size == predicted.batch_size:
        tokens = predicted.tokens
    elif sweep.training.tokens_per_parameter or experiment.training.tokens_per_parameter:
        return None
    else:
        tokens = own.tokens
    return Scale(width=width, layers=layers, batch_size=batch_size, tokens=tokens)


def _moved(
    sweep: Experiment, experiment: Experiment, prediction: Prediction, wanted: Scale
) -> tuple[Prediction, tuple[str, ...]]:
    """The prediction for other sizes, and what that changes; raises where there is no rule."""
    proxy, predicted = proxy_scale(sweep, prediction), _predicted(sweep, prediction)
    if wanted.width != predicted.width and wanted.width <= proxy.width:
        raise TransferError(
            f"model.width is {wanted.width}, but the hyperparameters were tuned at width "
            f"{proxy.width} for the width {predicted.width}; expected a target above {proxy.width}."
        )
    recipe, family = recipe_of(experiment, prediction), sweep.training.family
    base = base_scale(sweep, proxy)
    moved = dataclasses.replace(prediction, target_width=wanted.width).extrapolated(
        recipe, family, proxy=proxy, target=wanted, base=base
    )
    changed = extrapolate(recipe, family, predicted, wanted, base)
    return moved, tuple(f"Moved as the recipe says, {each}" for each in changed)


def _sizes_that_differ(
    sweep: Experiment, experiment: Experiment, prediction: Prediction
) -> list[_Difference]:
    tuned, own = _flat(sweep), _flat(experiment)
    found = [
        _Difference(key, tuned.get(key), own.get(key))
        for key in sorted(_SIZES)
        if tuned.get(key) != own.get(key)
    ]
    at_target = prediction.target_width
    return [each for each in found if (each.key, each.own) != ("model.width", at_target)]


def _flat(experiment: Experiment) -> dict[str, Any]:
    """All that may decide an optimum, by key."""
    content = dataclasses.asdict(experiment)
    found = {key: content[key] for key in _BASES}
    for section in _SECTIONS:
        found |= {f"{section}.{name}": value for name, value in content[section].items()}
    measured = ("recipe.calibration", "recipe.measured_horizon")
    return {key: value for key, value in found.items() if key not in measured}


def _values(experiment: Experiment, keys: Iterable[str]) -> dict[str, Any]:
    flat = _flat(experiment)
    return {key: flat[key] for key in keys if key in flat}


def _with(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """The experiment with other values of some keys."""
    content = dataclasses.asdict(experiment)
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (content[section] if section else content)[name] = value
    return read(content)


def _text(value: Any) -> str:
    return "empty" if value == "" else str(value)

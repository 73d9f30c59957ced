"""forecast.json: what was forecast of a run's targets before any of them was trained."""

import datetime
import hashlib
from collections.abc import Mapping, Sequence

from transfer.analysis import (
    Collapse,
    Forecast,
    TargetSize,
    collapse,
    forecast,
    reference_trials,
    width_losses,
)
from transfer.config import Experiment
from transfer.errors import TransferError
from transfer.run_directory import FORECAST, RunDirectory, TrialResult
from transfer.sweeps.ladder import reference_experiment
from transfer.sweeps.provenance import provenance
from transfer.training import run_size


def target_size(experiment: Experiment, width: int) -> TargetSize:
    """Return the parameters of the experiment's model at a width, and the FLOPs of a run of it.

    Example:
      >>> from transfer.config import read
      >>> target_size(read({"training": {"steps": 10}}), 64).parameters
      192960
    """
    parameters, flops = run_size(experiment.group(width))
    return TargetSize(width=width, parameters=parameters, flops=flops)


def target_widths(experiment: Experiment, asked: Sequence[int] = ()) -> tuple[int, ...]:
    """Return what is forecast: the widths that are asked for, else the target and two beyond.

    The target is `model.width` where it is above all widths of the sweep, and else twice the
    widest; the others are twice and four times as wide.

    Raises:
      TransferError: a width that is asked for is not above all widths of the sweep.
    """
    widest = max(experiment.sweep.widths, default=0)
    if low := [width for width in asked if width <= widest]:
        raise TransferError(
            f"--width is {low[0]}; expected widths above those of the sweep, the widest of which "
            f"is {widest}."
        )
    target = experiment.model.width if experiment.model.width > widest else 2 * widest
    return tuple(sorted(set(asked))) or (target, 2 * target, 4 * target)


def make_forecast(run: RunDirectory, experiment: Experiment, widths: Sequence[int]) -> Forecast:
    """Return the forecast of widths from the trials of a run; see `transfer.analysis.forecast`."""
    trials = run.require_trials()
    experiment, trials = reference_experiment(experiment, trials), reference_trials(trials)
    targets = [target_size(experiment, width) for width in widths]
    return forecast(trials, targets, _collapses(run, trials, min(widths)))


def register_forecast(
    run: RunDirectory, experiment: Experiment, widths: Sequence[int], *, replace: bool = False
) -> Forecast:
    """Write the forecast of targets that are not trained yet to forecast.json, and return it.

    No run trains into the directory meanwhile. An earlier forecast stays what it is, unless
    `replace` keeps it beside the new one under a number.

    Raises:
      TransferError: training a target has begun, so that nothing about it is a forecast any more,
        there is a forecast already, a process trains into the directory, or too little was swept.
    """
    with run.exclusive():
        _require_untrained(run, widths)
        earlier = run.read_json(FORECAST)
        if earlier is not None and not replace:
            raise TransferError(
                f"{run.path / FORECAST} holds a forecast already, which stays what it is; expected "
                "--replace, which keeps it under a number beside the new one."
            )
        made = make_forecast(run, experiment, widths)
        names = sorted(trial.trial for trial in run.trials())
        content = {
            "registered": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "trials": hashlib.sha256(" ".join(names).encode()).hexdigest(),
            "provenance": provenance(),
            **made.to_json(),
        }
        if earlier is not None:
            run.write_json(_free_name(run), earlier)
        run.write_json(FORECAST, content)
    return made


def _collapses(
    run: RunDirectory, trials: Sequence[TrialResult], below: int
) -> Mapping[str, Collapse]:
    metrics, found = run.metrics(), {}
    for recipe in {trial.recipe for trial in trials}:
        losses = [each for each in width_losses(trials, recipe) if each.width < below]
        if each := collapse(trials, metrics, losses, recipe):
            found[recipe] = each
    return found


def _require_untrained(run: RunDirectory, widths: Sequence[int]) -> None:
    trained = {trial.width for trial in run.trials()}
    begun = run.checkpoints.iterdir() if run.checkpoints.exists() else ()
    names = [file.name for file in begun]
    for width in widths:
        if width in trained or any(name.startswith(f"width-{width}-") for name in names):
            how = "is trained" if width in trained else "has begun to train"
            raise TransferError(
                f"Width {width} {how} in {run}, so what its proxies say of it is no forecast any "
                "more; expected --width=WIDTH of widths that are not trained. "
                "transfer report judges a forecast that was made before."
            )


def _free_name(run: RunDirectory) -> str:
    number = 1
    while (run.path / f"forecast.{number}.json").exists():
        number += 1
    return f"forecast.{number}.json"

"""Trains the model of --config, or a predicted target, into --run, with checkpoints.

The same command goes on from the last checkpoint. --hyperparameters takes what `transfer predict`
wrote: the target's width, depth, batch size and length, recipe, learning rate, decay, multipliers.
A configuration of another width, depth, batch size or length than the sweep's is moved to where the
recipe has a rule for it. Whatever else it changes (the optimizer, the data) is refused, because the
hyperparameters were not tuned for it; --allow_mismatch trains it all the same.
"""

import json
import typing
from collections.abc import Callable, Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config
from transfer.cli.multi_process_cli import multi_process
from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.config import Experiment
    from transfer.sweeps import Adopted


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    flags.define_compilation_cache(values)
    absl_flags.DEFINE_string(
        "hyperparameters", None, "a hyperparameters.json from predict", flag_values=values
    )
    absl_flags.DEFINE_boolean(
        "allow_mismatch",
        False,
        "train a configuration that --hyperparameters was not tuned for (default: refuse it)",
        flag_values=values,
    )


def run(values: absl_flags.FlagValues) -> int:
    """Train, or go on training."""
    platform.prepare(compilation_cache=values["compilation_cache"].value)
    with multi_process() as asked_to_stop:
        return _run(values, asked_to_stop)


def _run(values: absl_flags.FlagValues, asked_to_stop: Callable[[], bool]) -> int:
    from transfer.cli.console import SweepProgress, say
    from transfer.sweeps import run_single

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    predicted, tuned_on = str(values["hyperparameters"].value or ""), None
    allowed = bool(values["allow_mismatch"].value)
    if allowed and not predicted:
        raise TransferError(
            "--allow_mismatch is about hyperparameters of a prediction; expected "
            "--hyperparameters=FILE beside it."
        )
    if predicted:
        target = with_hyperparameters(experiment, predicted, allow_mismatch=allowed)
        experiment = target.experiment
        if target.data_fingerprint:
            tuned_on = target.data_fingerprint, predicted
        for note in target.notes:
            say(note)
    with SweepProgress() as progress:
        trial = run_single(
            experiment,
            directory.path,
            progress,
            origin="predicted" if predicted else "sweep",
            tuned_on=tuned_on,
            asked_to_stop=asked_to_stop,
        )
    say(
        f"Held-out loss {trial.eval_loss:.4f} and accuracy {trial.eval_accuracy:.1%} after "
        f"{trial.steps} steps ({trial.status}). "
        f"Checkpoints are in {directory.checkpoints}. "
        f"Next, for a transformer: transfer export {flags.shown('run', directory)} --output=FOLDER."
    )
    return 0


def with_hyperparameters(
    experiment: "Experiment", file: str, *, allow_mismatch: bool = False
) -> "Adopted":
    """Return what trains the target of a prediction, with its hyperparameters.

    Raises `TransferError` when the file is missing or no prediction, or when it was tuned for
    another configuration, where its numbers would mean something else.
    """
    from transfer.analysis import Prediction
    from transfer.sweeps import adopted
    from transfer.user_paths import user_path

    try:
        content = json.loads(user_path(file, "file").read_text())
        if not isinstance(content, dict):
            raise TransferError(f"it holds a {type(content).__name__} and no JSON object")
        prediction = Prediction.from_json(content)
        _ = prediction.hyperparameters  # multipliers of other names are a TypeError
    except (OSError, ValueError, TypeError, KeyError, AttributeError, TransferError) as error:
        raise TransferError(
            f"The hyperparameters {file} cannot be read ({str(error).rstrip('.')}); expected what "
            "transfer predict wrote."
        ) from None
    return adopted(experiment, prediction, allow_mismatch=allow_mismatch)

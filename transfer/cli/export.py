"""Writes the weights of a finished training run in --run to --output, multipliers folded in.

The folder holds model.safetensors and config.json in the layout that published LLaMA (or, with
QK-norm, Qwen3) checkpoints have, so that it runs without this library.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    absl_flags.DEFINE_string("output", None, "the folder to write", flag_values=values)


def run(values: absl_flags.FlagValues) -> int:
    """Export the last checkpoint."""
    platform.prepare()
    from transfer.errors import TransferError
    from transfer.models import TransformerConfig
    from transfer.models.export import export_llama
    from transfer.training import restore_parameters

    directory = flags.run_directory(values)
    if not values["output"].value:
        raise TransferError("No folder was given; expected --output=FOLDER.")
    experiment = flags.recorded_experiment(directory)
    if not isinstance(experiment.model, TransformerConfig):
        raise TransferError(
            f"{directory} holds a {experiment.model.kind}, which has no published layout to be "
            "written in; expected the --run of a transformer."
        )
    parameters, multipliers = restore_parameters(
        directory.checkpoints, steps_of_run=experiment.steps(experiment.model.width)
    )
    folder = export_llama(experiment.model, parameters, multipliers, values["output"].value)
    print(f"Written to {folder}: config.json and model.safetensors.")
    return 0

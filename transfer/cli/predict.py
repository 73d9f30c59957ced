"""Fits the optimum of the sweep in --run and writes hyperparameters.json for a target width.

The file is what `transfer train --hyperparameters=FILE` takes.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    absl_flags.DEFINE_integer("width", None, "the target's width", flag_values=values)
    absl_flags.DEFINE_string(
        "recipe", None, "which of the sweep's recipes; needed if it has several", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Predict and write."""
    from transfer.analysis import predict
    from transfer.errors import TransferError
    from transfer.report.words import with_interval

    directory = flags.run_directory(values)
    trials = directory.require_trials()
    if values["width"].value is None:
        raise TransferError("No target was given; expected --width=WIDTH.")
    recipes = sorted({trial.recipe for trial in trials})
    recipe = values["recipe"].value or recipes[0]
    if values["recipe"].value is None and len(recipes) > 1:
        raise TransferError(
            f"The sweep has the recipes {', '.join(recipes)}; expected one of them in --recipe."
        )
    # As declared: the quickstart's directory also holds a small sweep of its target.
    proxies = flags.recorded_experiment(directory).sweep.widths
    prediction = predict(trials, recipe, values["width"].value, proxies)
    file = directory.write_json("hyperparameters.json", prediction.to_json())
    interval = prediction.log2_learning_rate_interval
    rate = with_interval(prediction.log2_learning_rate, interval and list(interval))
    print(
        f"{prediction.recipe} at width {prediction.target_width}: "
        f"log2 learning rate {rate}, that is {prediction.learning_rate:.4g}; "
        f"weight decay {prediction.weight_decay:.4g}, as they read at width "
        f"{prediction.base_width}."
    )
    for note in prediction.notes:
        print(note)
    print(
        f"Written to {file}. Next: transfer train --hyperparameters={file} --config=... --run=..."
    )
    return 0

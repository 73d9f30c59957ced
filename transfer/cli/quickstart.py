"""Shows learning rates transfer, or not, on the Python standard library's own source.

Sweeps the learning rate of `standard` and `mup+sqrt` at narrow widths, predicts that of a wide
target, trains the target with it, checks it against a small sweep there, and writes the report.
Running it again goes on from what is done.
"""

import dataclasses
from collections.abc import Callable, Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config
from transfer.cli.shipped import shipped_file
from transfer.termination import listening


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv, default=str(shipped_file("quickstart")))
    flags.define_run(values, default="runs/quickstart")
    flags.define_compilation_cache(values)


def run(values: absl_flags.FlagValues) -> int:
    """Sweep, predict, train, check and report."""
    platform.prepare(compilation_cache=values["compilation_cache"].value)
    with listening() as asked_to_stop:
        return _run(values, asked_to_stop)


def _run(values: absl_flags.FlagValues, asked_to_stop: Callable[[], bool]) -> int:
    from transfer.analysis import predict
    from transfer.cli.console import SweepProgress, show_verdict
    from transfer.errors import TransferError
    from transfer.report import write_report
    from transfer.sweeps import (
        LocalLauncher,
        declared_groups,
        extrapolated,
        run_sweep,
        run_target,
        tuned_for,
    )

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    target, widths = experiment.model.width, experiment.sweep.widths
    if experiment.sweep.is_ladder:
        raise TransferError(
            "quickstart trains a target beside a sweep over width, and sweep has layers, "
            "batch_sizes or tokens too; expected widths alone, or transfer sweep for a ladder."
        )
    proxies = declared_groups(experiment)
    if target <= max(widths):
        raise TransferError(
            f"model.width, the target, is {target}; expected one above every width of "
            f"sweep.widths, {', '.join(map(str, widths))}."
        )
    (narrowest, *_) = proxies
    seeds, points = len(experiment.sweep.seeds), len({t.hyperparameters for t in narrowest.trials})
    what = "Training" if experiment.sweep.search != "adaptive" else "Searching, in rounds of"
    rates = f"{points} learning rate{'s' if points > 1 else ''}"
    opening = (
        f"{what} {rates} x {seeds} seeds at widths "
        f"{', '.join(map(str, widths))} for {' and '.join(map(str, narrowest.recipes))}, then the "
        f"target of width {target}."
    )
    # For the time left: the target gets the prediction and about three points around the optimum.
    expected = [
        experiment.group(
            target, [trial for trial in narrowest.trials if trial.recipe == recipe][: 4 * seeds]
        )
        for recipe in narrowest.recipes
    ]

    launcher = LocalLauncher(asked_to_stop)
    with SweepProgress(opening) as progress:
        run_sweep(
            experiment,
            directory.path,
            progress,
            launcher=launcher,
            kind="quickstart",
            followed_by=expected,
        )
        for recipe in map(str, narrowest.recipes):
            narrower = [trial for trial in directory.trials() if trial.width < target]
            prediction = dataclasses.replace(
                extrapolated(experiment, predict(narrower, recipe, target)),
                tuned_for=tuned_for(experiment, flags.recorded_fingerprint(directory)),
            )
            run_target(experiment, directory, prediction, progress, launcher=launcher)
            if recipe == str(experiment.recipe.build()):
                directory.write_json("hyperparameters.json", prediction.to_json())

    task, provenance = flags.recorded_origin(directory)
    show_verdict(directory, write_report(directory, task=task, provenance=provenance))
    return 0

"""Shows learning rates transfer, or not, on the Python standard library's own source.

Sweeps the learning rate of `standard` and `mup+sqrt` at narrow widths, predicts that of a wide
target, trains the target with it, checks it against a small sweep there, and writes the report.
Running it again goes on from what is done.
"""

from collections.abc import Callable, Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config
from transfer.cli.target import moved
from transfer.termination import listening


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv, default=flags.config_file("quickstart"))
    flags.define_run(values, default="runs/quickstart")


def run(values: absl_flags.FlagValues) -> int:
    """Sweep, predict, train, check and report."""
    platform.prepare()
    with listening() as asked_to_stop:
        return _run(values, asked_to_stop)


def _run(values: absl_flags.FlagValues, asked_to_stop: Callable[[], bool]) -> int:
    from transfer.analysis import extrapolate_optimum, predict
    from transfer.cli.console import SweepProgress, say, show_verdict
    from transfer.errors import TransferError
    from transfer.report import write_report
    from transfer.sweeps import (
        TrialGroup,
        bracket,
        declared_groups,
        load_for,
        register_run,
        remove_orphans,
        run_groups,
        unfinished,
        work,
    )

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    target = experiment.model.width
    proxies = declared_groups(experiment)
    if target <= max(experiment.sweep.widths):
        raise TransferError(
            f"model.width, the target, is {target}; expected one above every width of "
            f"sweep.widths, {', '.join(map(str, experiment.sweep.widths))}."
        )
    recipes = list(dict.fromkeys(group.recipe for group in proxies))
    seeds = experiment.sweep.seeds
    points = len(proxies[0].trials) // len(seeds)
    # For the time left: the target gets the prediction and about three points around the optimum.
    target_groups = [
        TrialGroup(target, recipe, proxies[0].trials[: 4 * len(seeds)]) for recipe in recipes
    ]
    dataset = load_for(experiment, [*proxies, *target_groups])
    register_run(directory, experiment, dataset.fingerprint, "quickstart")
    remove_orphans(directory, experiment, proxies)
    say(
        f"Training {points} learning rates x {len(seeds)} seeds at widths "
        f"{', '.join(str(width) for width in experiment.sweep.widths)} for "
        f"{' and '.join(recipes)}, then the target of width {target}."
    )
    missing = unfinished(directory, experiment, [*proxies, *target_groups])
    left = sum(work(experiment, group) for group in missing)
    with SweepProgress(left) as progress:

        def train(*groups: TrialGroup) -> None:
            flags.require_success(
                run_groups(
                    experiment, directory, dataset, groups, progress, asked_to_stop=asked_to_stop
                )
            )

        train(*proxies)
        for recipe in recipes:
            trials = [trial for trial in directory.trials() if trial.width < target]
            prediction = moved(experiment, predict(trials, recipe, target))
            expected = extrapolate_optimum(trials, recipe, target)
            bracket(
                experiment, directory, target, recipe, prediction.hyperparameters, expected, train
            )
            if recipe == str(experiment.recipe.build()):
                directory.write_json("hyperparameters.json", prediction.to_json())

    task, provenance = flags.recorded_origin(directory)
    show_verdict(directory, write_report(directory, task=task, provenance=provenance))
    return 0

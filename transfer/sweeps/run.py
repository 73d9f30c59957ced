"""A whole sweep, and the target that it predicts, in one call each."""

from etils import epath

from transfer.analysis import Prediction, extrapolate_optimum
from transfer.config import Experiment
from transfer.errors import TransferError
from transfer.run_directory import RunDirectory
from transfer.sweeps.bracket import bracket
from transfer.sweeps.groups import TrialGroup, TrialSpec, declared_groups
from transfer.sweeps.preflight import load_for
from transfer.sweeps.progress import Lines
from transfer.sweeps.provenance import register_run
from transfer.sweeps.runner import Reporter, remove_orphans, run_groups


def run_sweep(
    experiment: Experiment, path: epath.PathLike, reporter: Reporter | None = None
) -> RunDirectory:
    """Train what is missing of an experiment's sweep into a run directory, and return it.

    As `transfer sweep` does; by default a line is printed for each group that is done.

    Raises:
      TransferError: the sweep cannot be run, the directory is another run's, or a group failed.

    Example:
      >>> run = run_sweep(experiment, "runs/proxies")  # doctest: +SKIP
      >>> len(run.trials())  # doctest: +SKIP
      108
    """
    run, groups = RunDirectory(path), declared_groups(experiment)
    dataset = load_for(experiment, groups)
    register_run(run, experiment, dataset.fingerprint, "sweep")
    remove_orphans(run, experiment, groups)
    _require_success(run_groups(experiment, run, dataset, groups, reporter or Lines()))
    return run


def run_target(
    experiment: Experiment,
    run: RunDirectory,
    prediction: Prediction,
    reporter: Reporter | None = None,
) -> None:
    """Train the target of a prediction into its sweep's directory, and what tuning it would find.

    That is the predicted hyperparameters and a few learning rates about the optimum that the sweep
    lets expect there, all with the sweep's seeds: a report can then say what was lost by not
    tuning.

    Raises:
      TransferError: the target cannot be trained, or a group failed.

    Example:
      >>> prediction = predict(run.trials(), "mup+sqrt", 128)  # doctest: +SKIP
      >>> run_target(experiment, run, prediction)  # doctest: +SKIP
    """
    recipe, width = prediction.recipe, prediction.target_width
    predicted = prediction.hyperparameters
    dataset = load_for(experiment, [TrialGroup(width, recipe, (TrialSpec(predicted, 0),))])
    proxies = [trial for trial in run.trials() if trial.width in prediction.proxy_widths]

    def train(group: TrialGroup) -> None:
        _require_success(run_groups(experiment, run, dataset, [group], reporter or Lines()))

    expected = extrapolate_optimum(proxies, recipe, width)
    bracket(experiment, run, width, recipe, predicted, expected, train)


def _require_success(failures: list[str]) -> None:
    if failures:
        raise TransferError(f"{'; '.join(failures)}. The same call tries again.")

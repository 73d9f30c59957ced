"""The flow of a sweep, of its target and of a single run: for the command line and for Python.

Groups are resolved, checked, registered and trained in `train_groups`, in this order, whoever asks.
Every process of a job calls the same; the first one prepares the data and writes.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from etils import epath

from transfer.analysis import Prediction, extrapolate_optimum
from transfer.config import Experiment
from transfer.data import Dataset, ImageDataset
from transfer.distributed.exchange import first_process_first, is_first
from transfer.errors import TransferError
from transfer.run_directory import Origin, RunDirectory, TrialResult
from transfer.sweeps.adopt import require_tuned_data
from transfer.sweeps.bracket import bracket
from transfer.sweeps.extension import extend_grids
from transfer.sweeps.groups import declared_groups
from transfer.sweeps.preflight import load_for
from transfer.sweeps.provenance import SWEEPS, RunKind, register_run
from transfer.sweeps.reporter import Lines, Reporter
from transfer.sweeps.runner import Launcher, LocalLauncher, remove_orphans, unfinished, work
from transfer.sweeps.target import target_experiment
from transfer.training import TrialGroup


def run_sweep(
    experiment: Experiment,
    path: epath.PathLike,
    reporter: Reporter | None = None,
    *,
    launcher: Launcher = LocalLauncher(),
    kind: RunKind = "sweep",
    followed_by: Sequence[TrialGroup] = (),
) -> RunDirectory:
    """Train what is missing of an experiment's sweep into a run directory, and return it.

    Arguments:
      experiment: declares the sweep.
      path: the run directory, new or of an earlier call.
      reporter: is told about the work; by default it prints a line for each group that is done.
      launcher: where the groups are trained; by default in this process.
      kind: what the run directory is registered as.
      followed_by: groups that are to be trained after the sweep, such as those of a target: they
        are checked before anything is trained, and count for the time left.

    Raises:
      TransferError: the sweep cannot be run, the directory is another run's, or a group failed.
      TerminatedError: the launcher was asked to stop.

    Example:
      >>> run = run_sweep(experiment, "runs/proxies")  # doctest: +SKIP
      >>> len(run.trials())  # doctest: +SKIP
      108
    """
    run, groups = RunDirectory(path), declared_groups(experiment)
    adaptive = experiment.sweep.search == "adaptive"
    if adaptive:
        # What is declared is the first round, which stands for all in the checks.
        with _only_writer(run):
            dataset = _registered(experiment, run, groups, launcher, kind, followed_by)
    else:
        dataset = train_groups(
            experiment, run, groups, reporter, launcher=launcher, kind=kind, followed_by=followed_by
        )
    if not adaptive and not experiment.sweep.extend:
        return run

    def train(group: TrialGroup) -> None:
        _train(run, dataset, [group], reporter, launcher, followed_by)

    with _only_writer(run), launcher.session():
        if adaptive:
            from transfer.sweeps.adaptive import search_adaptively  # scikit-learn takes seconds

            search_adaptively(experiment, run, train)
        else:
            extend_grids(experiment, run, groups, train)
    return run


def run_single(
    experiment: Experiment,
    path: epath.PathLike,
    reporter: Reporter | None = None,
    *,
    origin: Origin = "sweep",
    tuned_on: tuple[str, str] | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> TrialResult:
    """Train the experiment's own trial into a run directory, where its checkpoints stay.

    Arguments:
      origin: `predicted` where the hyperparameters are those of a prediction.
      tuned_on: the fingerprint of the data that they were tuned on, and the file that says so;
        other data are refused.
      asked_to_stop: is asked every few seconds; if it says so, the run is saved.

    Raises:
      TransferError: the run cannot be trained, the directory is another run's, or it failed.
      TerminatedError: the run was asked to stop.
    """
    run, group = RunDirectory(path), experiment.single_run(origin)
    launcher = LocalLauncher(asked_to_stop, checkpoint_folder=run.checkpoints)
    train_groups(
        experiment,
        run,
        [group],
        reporter,
        launcher=launcher,
        kind="training run",
        tuned_on=tuned_on,
    )
    (trial,) = run.trials()
    return trial


def run_target(
    experiment: Experiment,
    run: RunDirectory,
    prediction: Prediction,
    reporter: Reporter | None = None,
    *,
    launcher: Launcher = LocalLauncher(),
) -> None:
    """Train the target of a prediction into its sweep's directory, and what tuning it would find.

    That is the predicted hyperparameters and a few learning rates around the optimum that the sweep
    lets expect there, all with the sweep's seeds: a report can then say what was lost by not
    tuning.

    Arguments:
      experiment: of the sweep that the prediction was made from.
      run: holds the sweep.
      reporter, launcher: as for `run_sweep`.

    Raises:
      TransferError: the target cannot be trained, or a group failed.
      TerminatedError: the launcher was asked to stop.

    Example:
      >>> prediction = predict(run.trials(), "mup+sqrt", 128)  # doctest: +SKIP
      >>> run_target(experiment, run, prediction)  # doctest: +SKIP
    """
    target = target_experiment(experiment, prediction)
    with first_process_first():
        dataset = load_for(target, [target.single_run("predicted")], here=launcher.here)
    proxies = [
        trial
        for trial in run.trials()
        if trial.width in prediction.proxy_widths and trial.recipe == prediction.recipe
    ]
    # Proxies are swept before their decay is measured, so that recipe has no optima of its own.
    expected = (
        extrapolate_optimum(proxies, prediction.recipe, prediction.target_width)
        if proxies
        else prediction.log2_learning_rate
    )

    def train(group: TrialGroup) -> None:
        _train(run, dataset, [group], reporter, launcher)

    with _only_writer(run):
        bracket(target, run, prediction.hyperparameters, expected, train)


def train_groups(
    experiment: Experiment,
    run: RunDirectory,
    groups: Sequence[TrialGroup],
    reporter: Reporter | None = None,
    *,
    launcher: Launcher = LocalLauncher(),
    kind: RunKind = "sweep",
    followed_by: Sequence[TrialGroup] = (),
    tuned_on: tuple[str, str] | None = None,
) -> Dataset | ImageDataset:
    """Check groups, register their run and train what is missing of them; see `run_sweep`.

    Returns the data that they were trained on. `groups` are all that the run holds; checkpoints of
    a sweep that none of them resumes from are removed.
    """
    with _only_writer(run):
        dataset = _registered(experiment, run, groups, launcher, kind, followed_by, tuned_on)
        if kind in SWEEPS:
            remove_orphans(run, groups)
        _train(run, dataset, groups, reporter, launcher, followed_by)
    return dataset


def _registered(
    experiment: Experiment,
    run: RunDirectory,
    groups: Sequence[TrialGroup],
    launcher: Launcher,
    kind: RunKind,
    followed_by: Sequence[TrialGroup],
    tuned_on: tuple[str, str] | None = None,
) -> Dataset | ImageDataset:
    """Check groups and register their run; returns the data."""
    with first_process_first():
        dataset = load_for(experiment, [*groups, *followed_by], here=launcher.here)
        if tuned_on is not None:
            fingerprint, where = tuned_on
            require_tuned_data(fingerprint, dataset.fingerprint, where)
        if is_first():
            register_run(run, experiment, dataset.fingerprint, kind)
    return dataset


def _only_writer(run: RunDirectory) -> AbstractContextManager[None]:
    """Hold the run directory; the first process does so for all of its job, and Ray's workers."""
    return run.exclusive() if is_first() else nullcontext()


def _train(
    run: RunDirectory,
    dataset: Dataset | ImageDataset,
    groups: Sequence[TrialGroup],
    reporter: Reporter | None,
    launcher: Launcher,
    followed_by: Sequence[TrialGroup] = (),
) -> None:
    reporter = reporter or Lines()
    missing, later = unfinished(run, groups), unfinished(run, followed_by)
    to_go = sum(len(group.trials) for group in missing)
    reporter.begin(
        work=sum(map(work, [*missing, *later])),
        groups=len(missing) + len(later),
        done=sum(len(group.trials) for group in groups) - to_go,
        missing=to_go,
    )
    failures = launcher.launch(run, dataset, groups, reporter)
    if failures:
        raise TransferError(
            f"{'; '.join(failures)}. Run the same again: only what is missing is trained."
        )

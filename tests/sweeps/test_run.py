"""A whole sweep in one call, and the target that it predicts."""

import dataclasses

import pytest
from refusals import refused
from training.tiny import STEPS

from transfer.analysis import predict
from transfer.config import RecipeConfig
from transfer.report import Report
from transfer.scaling import Calibration, Hyperparameters, Recipe, Role
from transfer.sweeps import (
    Lines,
    LocalLauncher,
    declared_groups,
    extrapolated,
    group_line,
    run_single,
    run_sweep,
    run_target,
    target_experiment,
    work,
)
from transfer.training import TrialSpec

from .small import Recorder, experiment, swept
from .test_bracket import Trainer

TARGET = 32


@pytest.fixture
def losses(monkeypatch):
    """Losses by a bowl at every width, in place of training."""
    trained = []

    def instead(launcher, directory, dataset, groups, reporter):
        for group in groups:
            trained.append(group)
            Trainer(directory, optimum=-6.2)(group)
            reporter.finish(group, [])
        return []

    monkeypatch.setattr(LocalLauncher, "launch", instead)
    return trained


def spec(seed):
    return TrialSpec(Hyperparameters(learning_rate=0.1), seed, Recipe("mup"))


DECLARED = swept(
    experiment(),
    space=dataclasses.replace(
        experiment().sweep.space, learning_rate=tuple(2.0**k for k in range(-9, -3))
    ),
)


def test_a_sweep_trains_what_is_declared_and_what_is_missing_alone(tmp_path, capsys):
    first = run_sweep(experiment(), tmp_path / "run")
    printed = capsys.readouterr().out
    again = run_sweep(experiment(), tmp_path / "run")

    assert len(first.trials()) == 2 * 2 * 2  # widths, rates, seeds
    assert again.trials() == first.trials()
    assert [line.split()[:3] for line in printed.splitlines()] == [
        ["mup+sqrt", "width", "8"],
        ["mup+sqrt", "width", "16"],
    ]
    assert capsys.readouterr().out == ""


def test_a_sweep_leaves_no_checkpoints_but_those_it_goes_on_from(tmp_path, losses):
    directory = run_sweep(DECLARED, tmp_path / "run")
    orphan = directory.checkpoints / "width-8-01234567"
    orphan.mkdir(parents=True)

    run_sweep(DECLARED, tmp_path / "run")
    assert not orphan.exists()


def test_a_sweep_tells_its_reporter(tmp_path, losses):
    reporter = Recorder()

    run_sweep(DECLARED, tmp_path / "run", reporter)

    assert [finished[:2] for finished in reporter.finished] == [("mup+sqrt", 8), ("mup+sqrt", 16)]


def test_a_directory_of_another_run_is_refused(tmp_path, losses):
    run_sweep(DECLARED, tmp_path / "run")

    other = dataclasses.replace(DECLARED, name="other")
    with refused(tmp_path / "run"):
        run_sweep(other, tmp_path / "run")


def test_a_group_that_fails_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(
        LocalLauncher,
        "launch",
        lambda *_: ["mup at width 8 failed: memory", "mup at width 16 failed: gone"],
    )

    with refused("memory", 16, "gone"):
        run_sweep(DECLARED, tmp_path / "run")


def test_a_target_is_trained_as_predicted_and_around_what_is_expected(tmp_path, losses):
    directory = run_sweep(DECLARED, tmp_path / "run")
    prediction = predict(directory.trials(), "mup+sqrt", TARGET)
    losses.clear()

    run_target(DECLARED, directory, prediction)

    (group,) = losses  # one round, since the optimum is where it is expected
    assert (group.shape.width, group.recipe_names) == (TARGET, "mup+sqrt")
    predicted = [spec for spec in group.trials if spec.origin == "predicted"]
    assert {spec.hyperparameters for spec in predicted} == {prediction.hyperparameters}
    assert {spec.seed for spec in group.trials} == set(DECLARED.sweep.seeds)
    (regret,) = (
        each
        for each in Report.of(directory).verdict.recipes["mup+sqrt"].regrets
        if each.width == TARGET
    )
    assert regret.source == "trained"


def test_what_follows_a_sweep_is_checked_before_anything_is_trained(tmp_path, losses):
    schedule = dataclasses.replace(DECLARED.training, warmup=1000)
    target = dataclasses.replace(DECLARED, training=schedule).group(TARGET, [spec(0)])
    with refused("warmup", 1000):
        run_sweep(DECLARED, tmp_path / "run", followed_by=[target])
    assert losses == []
    assert not (tmp_path / "run").exists()


class Begun(Recorder):
    def __init__(self):
        super().__init__()
        self.begun = []

    def begin(self, work, groups, done, missing):
        self.begun.append((work, groups, done, missing))


def test_what_follows_a_sweep_counts_as_work_but_not_as_its_trials(tmp_path, losses):
    target = DECLARED.group(TARGET, [spec(0), spec(3)])
    reporter, again = Begun(), Begun()
    run_sweep(DECLARED, tmp_path / "run", reporter, followed_by=[target])
    run_sweep(DECLARED, tmp_path / "run", again, followed_by=[target])

    swept = sum(map(work, declared_groups(DECLARED)))
    assert reporter.begun == [(swept + work(target), 3, 0, 24)]
    assert again.begun == [(work(target), 1, 24, 0)]


def test_a_target_has_all_that_was_predicted_for_it(tmp_path, losses):
    """Depth, base depth and measured exponents, none of which is in a recipe's name."""
    recipe = RecipeConfig(name="mup+sqrt", depth="completep", clipping="raw")
    model = dataclasses.replace(DECLARED.model, width=TARGET)
    declared = dataclasses.replace(DECLARED, recipe=recipe, model=model)
    directory = run_sweep(declared, tmp_path / "run")
    prediction = extrapolated(declared, predict(directory.trials(), "mup+sqrt", TARGET), layers=4)
    hidden = [
        path
        for path, each in target_experiment(declared, prediction).layout(TARGET).parameters.items()
        if each.role == Role.HIDDEN
    ]
    measured = Calibration(
        paths=tuple(hidden), exponents=(0.8,) * len(hidden), swept=0.5, widest=2.0
    )
    losses.clear()
    run_target(
        declared,
        directory,
        dataclasses.replace(prediction, recipe="mup+measured", calibration=measured),
    )

    (group,) = losses
    assert (group.shape.layers, group.base.layers, group.shape.width) == (4, 1, TARGET)
    assert group.recipes == (Recipe("mup", decay=measured, clipping="raw", depth="completep"),)


def test_a_single_run_is_trained_once_and_keeps_its_checkpoints(tmp_path):
    first = run_single(experiment(), tmp_path / "run")
    again = run_single(experiment(), tmp_path / "run")
    assert again == first
    assert (first.width, first.origin, first.status) == (16, "sweep", "completed")
    assert [each.name for each in (tmp_path / "run/checkpoints").iterdir()] == [str(STEPS)]


def test_a_target_that_cannot_be_trained_is_refused_before_it_is(tmp_path, losses):
    directory = run_sweep(DECLARED, tmp_path / "run")
    prediction = predict(directory.trials(), "mup+sqrt", TARGET)
    losses.clear()

    training = dataclasses.replace(DECLARED.training, warmup=1000)

    with refused("warmup", 1000):
        run_target(dataclasses.replace(DECLARED, training=training), directory, prediction)
    assert losses == []


def test_a_line_counts_what_diverged(tmp_path, losses, capsys):
    directory = run_sweep(DECLARED, tmp_path / "run")
    trials = [trial for trial in directory.trials() if trial.width == 8]
    gone = dataclasses.replace(trials[0], status="diverged", eval_loss=float("nan"))
    group = losses[0]

    assert group_line(group, [gone, *trials[1:]]) == (
        f"mup+sqrt   width    8   12 trials, 1 diverged  best loss {3 + 0.1 * 0.04:.3f}  "
        "12 s, 6 of them compiling"
    )
    assert "no trial completed" in group_line(group, [gone])
    Lines().finish(group, trials)
    assert capsys.readouterr().out.endswith(group_line(group, trials) + "\n")

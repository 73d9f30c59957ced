"""A whole sweep in one call, and the target that it predicts."""

import dataclasses

import pytest
from refusals import refused

from transfer.analysis import predict
from transfer.report import Report
from transfer.sweeps import Lines, LocalLauncher, group_line, run_sweep, run_target

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
    orphan = directory.checkpoints / "mup+sqrt-8-01234567"
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
        f"mup+sqrt   width    8   12 trials, 1 diverged  best loss {3 + 0.1 * 0.04:.3f}  12 s"
    )
    assert "no trial completed" in group_line(group, [gone])
    Lines().finish(group, trials)
    assert capsys.readouterr().out.endswith(group_line(group, trials) + "\n")

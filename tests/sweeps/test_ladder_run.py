"""A ladder from its configuration to the training of a target of another batch size and length."""

import dataclasses
import json
import math
import pathlib

import pytest
from refusals import refused
from training.tiny import DATA

from transfer.analysis import Prediction
from transfer.config import RecipeConfig, read
from transfer.report import Report, write_report
from transfer.report.ladder import recorded_ladders
from transfer.run_directory import RunDirectory
from transfer.scaling import MeasuredHorizon
from transfer.sweeps import (
    LocalLauncher,
    adopted,
    extrapolated,
    run_sweep,
    sweep_cost,
    target_experiment,
    tuned_for,
)
from transfer.sweeps.ladder import predict_on_ladder, reference_experiment
from transfer.sweeps.pace import Pace, Timed
from transfer.training import TrainingConfig

from .small import experiment, row, swept

FORMATS = pathlib.Path(__file__).parents[1] / "formats"

BATCHES, TOKENS = (2, 4, 8, 16, 32), (1024, 2048, 4096)
DECLARED = swept(
    experiment(
        data=dataclasses.replace(DATA, eval_sequences=64),
        training=TrainingConfig(steps=32, warmup=4, log_every=8),
    ),
    batch_sizes=BATCHES,
    tokens=TOKENS,
    seeds=(0,),
    space=dataclasses.replace(
        experiment().sweep.space, learning_rate=tuple(2.0**k for k in range(-9, 0))
    ),
)


def loss_at(shape, rate):
    """A bowl about a best rate ~ batch^1/2 tokens^-1/4, and a best batch of 8 at 2,048 tokens."""
    batch, tokens = math.log2(shape.batch_size), math.log2(shape.tokens)
    best = -5.0 + 0.5 * (batch - 3) - 0.25 * (tokens - 11)
    behind = 0.02 * (batch - 3 - 0.5 * (tokens - 11)) ** 2
    return 3.0 - 0.1 * tokens + behind + 0.05 * (math.log2(rate) - best) ** 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run of the ladder, with losses that are known in place of training."""

    def instead(launcher, directory, dataset, groups, reporter):
        for group in groups:
            shape = group.shape
            rows = [
                row(
                    group,
                    spec,
                    loss_at(shape, spec.hyperparameters.learning_rate),
                    layers=shape.layers,
                    batch_size=shape.batch_size,
                    steps=shape.steps,
                    tokens=shape.tokens,
                )
                for spec in group.trials
            ]
            directory.add_group(group.name, rows, [], [])
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalLauncher, "launch", instead)
        return run_sweep(DECLARED, tmp_path_factory.mktemp("ladder") / "run")


@pytest.fixture(scope="module")
def prediction(run):
    return predict_on_ladder(run.trials(), "mup+sqrt", 32, DECLARED.sweep.widths)


def test_hyperparameters_are_those_of_the_longest_runs_in_their_best_batch(run, prediction):
    rung = reference_experiment(DECLARED, run.trials())
    # 8 sqrt(2) at 4,096 tokens: 8 is a little better than 16 to the grid's eye, or as good.
    assert rung.data.batch_size in (8, 16)
    assert rung.training.steps * rung.data.tokens_per_step == 4096
    best = -5.0 + 0.5 * (math.log2(rung.data.batch_size) - 3) - 0.25
    assert prediction.log2_learning_rate == pytest.approx(best, abs=0.1)
    assert prediction.horizon.rate_batch == pytest.approx(0.5, abs=0.05)
    assert prediction.horizon.rate_tokens == pytest.approx(-0.25, abs=0.05)


def test_a_target_is_trained_with_the_rate_that_the_exponents_give(run, prediction):
    rung = reference_experiment(DECLARED, run.trials())
    moved = extrapolated(rung, prediction, batch_size=32, tokens=16384)
    (group,) = [target_experiment(rung, moved).single_run("predicted")]
    best = -5.0 + 0.5 * (5 - 3) - 0.25 * (14 - 11)

    assert (group.shape.batch_size, group.shape.tokens) == (32, 16384)
    trial = group.trials[0]
    factor = group.horizon(trial.recipe).learning_rate
    rate = trial.hyperparameters.learning_rate * factor
    assert math.log2(rate) == pytest.approx(best, abs=0.15)
    assert trial.recipe.horizon == prediction.horizon
    # And it is told, with what the ladder's own edges say of it.
    told = str(moved)
    assert "batch size^0.5" in told
    assert "edge, left out" in told
    assert [each.axis for each in moved.extrapolation] == ["width", "width", "batch", "tokens"]


def test_a_batch_far_from_the_best_one_is_refused(run, prediction):
    rung = reference_experiment(DECLARED, run.trials())
    with refused("256", recorded=False):
        extrapolated(rung, prediction, batch_size=256)
    # In the same batch as ever, a run of many more tokens is one of a batch too small.
    with refused("2", recorded=False):
        extrapolated(rung, prediction, batch_size=2, tokens=2**20)


def test_the_file_of_a_prediction_trains_the_target_it_was_made_for(run, prediction):
    rung = reference_experiment(DECLARED, run.trials())
    moved = dataclasses.replace(
        extrapolated(rung, prediction, batch_size=32, tokens=16384), tuned_for=tuned_for(rung, "")
    )
    again = Prediction.from_json(json.loads(json.dumps(moved.to_json(), allow_nan=False)))
    assert again == moved

    plain = read(json.loads(json.dumps(dataclasses.asdict(DECLARED))))  # as a config file has it
    target = adopted(plain, again).experiment
    assert target.data.batch_size == 32
    assert target.training.steps * target.data.tokens_per_step == 16384
    assert target.recipe.build().horizon == prediction.horizon


def test_a_measured_horizon_is_read_from_a_configuration(prediction):
    recipe = RecipeConfig(horizon="measured", measured_horizon=prediction.horizon)
    content = json.loads(json.dumps({"recipe": dataclasses.asdict(recipe)}))
    assert read(content).recipe.build().horizon == prediction.horizon
    with refused("measured"):
        read({"recipe": {"horizon": "measured"}})
    assert read({}).recipe.measured_horizon == MeasuredHorizon()


def test_a_report_judges_widths_at_one_rung_and_shows_the_ladder(run):
    report = Report.of(run)

    assert {trial.tokens for trial in report.trials} == {4096}
    assert len({trial.batch_size for trial in report.trials}) == 1
    assert sum(each.trials for each in report.verdict.compute.widths) == len(run.trials())
    (ladder,) = report.ladders
    assert ladder.exponents["learning rate"]["batch_size"].value == pytest.approx(0.5, abs=0.05)
    text = str(report)
    for word in ("batch size", "longest runs", "largest batch", "widest network", "sde"):
        assert word in text
    assert "longest runs" in report.page({})


def test_a_report_leaves_what_the_ladder_says_beside_the_verdict(run):
    write_report(run, task="", provenance={})
    (ladder,) = recorded_ladders(run)
    assert ladder == Report.of(run).ladders[0]


def test_a_dry_run_counts_every_rung(run, monkeypatch):
    monkeypatch.setattr(
        "transfer.sweeps.cost.measured_pace",
        lambda groups: Pace((Timed(8, 0.002, 1e6), Timed(16, 0.004, 9e6)), "measured"),
    )
    whole, done = sweep_cost(DECLARED), sweep_cost(DECLARED, run)
    assert len(whole.groups) == 2 * len(BATCHES) * len(TOKENS)
    assert sum(group.trials for group in whole.groups) == len(run.trials())
    assert {group.left for group in done.groups} == {0}
    assert {group.batch_size for group in whole.groups} == set(BATCHES)


def test_rungs_are_trained_in_their_own_batches_and_record_their_noise_scale(tmp_path):
    small = swept(
        experiment(training=TrainingConfig(steps=16, warmup=4, log_every=8, noise_scale=True)),
        widths=(8,),
        batch_sizes=(4, 8),
        tokens=(512,),
        seeds=(0,),
    )
    first = run_sweep(small, tmp_path / "run")
    trials = first.trials()

    sizes = {(trial.batch_size, trial.steps, trial.tokens) for trial in trials}
    assert sizes == {(4, 16, 512), (8, 8, 512)}
    assert len(trials) == 4
    assert all(trial.noise_scale > 0 for trial in trials)
    assert run_sweep(small, tmp_path / "run").trials() == trials


def test_a_table_of_an_earlier_version_has_no_noise_scale():
    kept = RunDirectory(FORMATS / "1").trials()
    assert {trial.noise_scale for trial in kept} == {None}

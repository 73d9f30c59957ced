"""What is read off trunks in the tables of a sweep, and in all that reads them."""

import dataclasses
import math

import numpy as np
import pytest
from refusals import refused

from transfer.analysis import find_optimum, horizon_agreement, predict
from transfer.analysis.horizon_agreement import rank_correlation
from transfer.config import RecipeConfig, SearchSpace, read
from transfer.report import Report, write_report
from transfer.report.horizon_optima import horizon_optima
from transfer.run_directory import ReadOff, RunDirectory, found_horizons
from transfer.sweeps import (
    LocalLauncher,
    experiment_at,
    group_cost,
    run_sweep,
    tuned_for,
    unfinished,
    work,
)
from transfer.sweeps.end_losses import end_losses
from transfer.sweeps.groups import declared_groups
from transfer.sweeps.horizon_rows import branch_rates
from transfer.sweeps.pace import Pace, Timed
from transfer.termination import TerminatedError
from transfer.training import TrainingConfig

from .small import Recorder, experiment, row, swept

RATES = (2.0**-8, 2.0**-6, 2.0**-4)
TRUNK = TrainingConfig(
    steps=20, warmup=2, log_every=8, schedule="constant", horizons=(10, 20), branch_steps=4
)
READ_OFF = [ReadOff(steps, kind) for steps in (10, 20) for kind in ("average", "branch")]


def trunks(**changes):
    declared = experiment(training=TRUNK, **changes)
    return swept(declared, space=SearchSpace(learning_rate=RATES))


def shown(rows):
    """Rows without times; NaN is no value that equals itself, but it is written alike."""
    return [repr(dataclasses.replace(r, wall_seconds=0.0, compile_seconds=0.0)) for r in rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_sweep(trunks(), tmp_path_factory.mktemp("trunks") / "run", Recorder())


def test_every_trunk_has_a_row_of_its_own_for_every_horizon_and_kind(run):
    trials, rows = run.trials(), run.rows()
    assert len(trials) == 2 * 3 * 2
    assert {trial.origin for trial in trials} == {"sweep"}
    assert found_horizons(rows) == tuple(READ_OFF)
    for horizon in READ_OFF:
        read = [row for row in rows if row.trunk and ReadOff(row.steps, row.origin) == horizon]
        assert {row.trunk for row in read} == {trial.trial for trial in trials}
        # An average has no training loss, and no time is counted twice.
        assert {math.isfinite(row.loss) for row in read} == {horizon.kind == "branch"}
        assert all(math.isfinite(row.eval_loss) for row in read)
        assert all(math.isnan(row.wall_seconds) for row in read)
        assert {row.tokens for row in read} == {horizon.steps * 8 * 8}
    assert len({row.trial for row in rows}) == len(rows) == 5 * len(trials)


def test_a_trunk_counts_the_operations_of_its_branches(run):
    by_name = {trial.trial: trial for trial in run.trials()}
    for shorter in run.trials(ReadOff(10, "branch")):
        # 20 steps and two branches of 4 beside a run of 10.
        twin = next(t for t in by_name.values() if t.width == shorter.width)
        assert twin.flops == pytest.approx(shorter.flops * 28 / 10)


def test_the_rows_of_a_branch_say_what_a_run_of_its_length_says(run, tmp_path):
    """All but how it came about: the schedule of that run is `wsd`."""
    alone = run_sweep(
        swept(experiment_at(trunks(), ReadOff(10, "branch")), widths=(8,)), tmp_path, Recorder()
    )
    read = [row for row in run.trials(ReadOff(10, "branch")) if row.width == 8]
    key = lambda trial: (trial.learning_rate, trial.seed)  # noqa: E731
    for one, other in zip(sorted(read, key=key), sorted(alone.trials(), key=key), strict=True):
        for name in ("eval_loss", "loss", "eval_accuracy", "decay_times"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=2e-5), name
        same = ("origin", "width", "recipe", "steps", "tokens", "status", "trunk", "flops")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]


def test_the_curve_of_a_branch_ends_at_its_horizon_with_the_rate_falling(run):
    metrics = run.metrics().to_pylist()
    names = {row.trial: row for row in run.rows() if row.origin == "branch"}
    curves = {}
    for each in metrics:
        if each["trial"] in names:
            curves.setdefault(each["trial"], []).append(each)
    assert curves.keys() == names.keys()
    for name, curve in curves.items():
        peak = names[name].learning_rate
        assert [each["step"] for each in curve] == [names[name].steps - k for k in (3, 2, 1, 0)]
        rates = [each["learning_rate"] / peak for each in curve]
        assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert {each["trial"] for each in metrics} == set(names) | {t.trial for t in run.trials()}


def test_rates_of_a_branch_sum_to_its_decay_times():
    assert branch_rates(np.full(8, 2.0), steps=6, length=2).tolist() == [2, 2, 2, 2, 2, 1]


def test_a_sweep_that_is_done_trains_nothing_again(run):
    again = Recorder()
    before = shown(run.rows())
    assert shown(run_sweep(trunks(), run.path, again).rows()) == before
    assert again.started == []
    assert unfinished(run, declared_groups(trunks())) == []


def test_each_horizon_is_judged_by_itself_and_the_whole_runs_without_any(run):
    whole = Report.of(run)
    assert {trial.trunk for trial in whole.trials} == {""}
    assert {trial.steps for trial in whole.trials} == {20}
    for horizon in READ_OFF:
        trials = Report.of(run, horizon=horizon).trials
        assert {trial.steps for trial in trials} == {horizon.steps}
        best = min(trials, key=lambda trial: trial.eval_loss).eval_loss
        rows = [
            row for row in run.rows() if row.trunk and ReadOff(row.steps, row.origin) == horizon
        ]
        assert best == min(row.eval_loss for row in rows)
    lines = list(horizon_optima(run))
    assert len(lines) == 4  # widths and kinds
    assert all("after 10 steps" in line and "after 20 steps" in line for line in lines)


def test_the_report_on_a_horizon_lies_in_a_folder_of_its_own(run):
    verdict = write_report(run, task="", provenance={}, horizon=READ_OFF[1])
    branch = run.report / "branch-10"
    assert not (run.report / "verdict.json").exists()
    assert run.read_json("report/branch-10/verdict.json") == verdict.to_json()
    assert "wsd" in (branch / "report.html").read_text()


def test_a_horizon_that_was_not_read_off_is_refused(run, tmp_path):
    with refused("average at 15 steps", "branch at 20 steps"):
        run.trials(ReadOff(15, "average"))
    with refused("kind of horizon", "avrage", "average"):
        ReadOff(10, "avrage")
    other = RunDirectory(tmp_path)
    spec = declared_groups(experiment())[0].trials[0]
    other.add_group("g", [row(declared_groups(experiment())[0], spec, 1.0)], [], [])
    with refused("branch at 10 steps", "training.horizons"):
        other.trials(ReadOff(10, "branch"))


def test_hyperparameters_of_a_horizon_are_tuned_for_a_run_of_its_length():
    for kind, schedule, decay, horizons in (
        ("branch", "wsd", 4, []),
        ("average", "constant", 0, [10]),
    ):
        kept = tuned_for(experiment_at(trunks(), ReadOff(10, kind)), "")["experiment"]["training"]
        assert kept["steps"] == 10
        assert (kept["schedule"], kept["decay_steps"]) == (schedule, decay)
        assert (kept["horizons"], kept["branch_steps"]) == (horizons, 0)


def bowl(group, bottom, **changes):
    """Rows of trunks and of their averages, with bowls whose bottoms differ."""
    rows = []
    for spec in group.trials:
        x = math.log2(spec.hyperparameters.learning_rate)
        trunk = row(group, spec, 3.0 + 0.1 * (x - bottom[0]) ** 2, **changes)
        average = dataclasses.replace(
            trunk,
            trial=f"{trunk.trial} average",
            trunk=trunk.trial,
            origin="average",
            steps=10,
            eval_loss=4.0 + 0.1 * (x - bottom[1]) ** 2,
        )
        rows += [trunk, average]
    return rows


# How far the fit of a bowl that is symmetric is off, since others are expected to be steeper above.
PRIOR = 0.05
WIDE = SearchSpace(learning_rate=tuple(2.0**n for n in range(-9, -2)))


def test_a_prediction_at_a_horizon_goes_by_the_losses_there_alone(tmp_path):
    run = RunDirectory(tmp_path)
    for group in declared_groups(swept(experiment(), space=WIDE)):
        run.add_group(group.name, bowl(group, (-5.0, -7.0)), [], [])
    for horizon, bottom in ((None, -5.0), (ReadOff(10, "average"), -7.0)):
        found = predict(run.trials(horizon), "mup+sqrt", 64)
        assert found.log2_learning_rate == pytest.approx(bottom, abs=PRIOR)
        optimum = find_optimum(run.trials(horizon), "mup+sqrt", 16)
        assert optimum.log2_learning_rate.value == pytest.approx(bottom, abs=PRIOR)


def test_agreement_is_in_ranks_octaves_and_regret(tmp_path):
    run = RunDirectory(tmp_path)
    (group,) = declared_groups(swept(experiment(), space=WIDE, widths=(16,)))
    run.add_group(group.name, bowl(group, (-5.0, -6.0)), [], [])
    read_off, runs = run.trials(ReadOff(10, "average")), run.trials()

    itself = horizon_agreement(runs, runs, "mup+sqrt", 16)
    assert (itself.rank_correlation, itself.octaves, itself.regret) == (1.0, 0.0, 0.0)
    assert (itself.offset, itself.settings) == (0.0, 7)
    other = horizon_agreement(read_off, runs, "mup+sqrt", 16)
    assert other.octaves == pytest.approx(-1.0, abs=PRIOR)
    assert other.regret == pytest.approx(0.1 / 3.0)
    assert 0 < other.rank_correlation < 1
    assert rank_correlation(np.arange(5.0), -np.arange(5.0)) == -1.0


def test_a_search_goes_by_what_is_expected_of_a_trial_that_was_stopped():
    (group,) = declared_groups(swept(experiment(), space=WIDE, widths=(16,), seeds=(0,)))
    rows = bowl(group, (-5.0, -5.0))
    trunks, averages = rows[::2], rows[1::2]
    whole = end_losses(group, rows)
    assert whole == {trunk.trial: trunk.eval_loss for trunk in trunks}
    trunks[0] = dataclasses.replace(
        trunks[0], status="stopped", steps=10, eval_loss=math.nan, loss=math.nan
    )
    trunks[1] = dataclasses.replace(trunks[1], status="diverged", eval_loss=math.nan)
    found = end_losses(group, [*trunks, *averages])
    ratios = [t.eval_loss / a.eval_loss for t, a in zip(trunks[2:], averages[2:], strict=True)]
    assert found[trunks[0].trial] == pytest.approx(averages[0].eval_loss * np.median(ratios))
    assert found[trunks[1].trial] == math.inf
    assert {name: found[name] for name in list(whole)[2:]} == dict(list(whole.items())[2:])


ADAPTIVE = {
    "search": "adaptive",
    "recipes": ("mup+sqrt",),
    "widths": (8,),
    "space": SearchSpace(learning_rate=(2.0**-9, 2.0**-3)),
    "population": 4,
    "trials": 16,
    "tolerance": 1e-6,
    "survivors": 0.5,
}


def test_an_adaptive_search_stops_trials_at_horizons_and_says_so(tmp_path):
    declared = swept(trunks(), **ADAPTIVE)
    run = run_sweep(declared, tmp_path / "run", Recorder())
    trials = run.trials()
    stopped = [trial for trial in trials if trial.status == "stopped"]
    # Of 4 points a round 2 go on, with both seeds.
    assert len(trials) == 16
    assert len(stopped) == 8
    assert {trial.steps for trial in stopped} == {10}
    assert all(math.isinf(trial.objective_value) for trial in stopped)
    steps = {}
    for each in run.metrics().to_pylist():
        steps[each["trial"]] = max(each["step"], steps.get(each["trial"], 0))
    assert {steps[trial.trial] for trial in stopped} == {10}
    assert {row.trunk for row in run.trials(ReadOff(20, "average"))} == {""}
    assert len(run.trials(ReadOff(10, "average"))) == 16
    assert len(run.trials(ReadOff(20, "average"))) == 8
    # Whole runs are judged without them, and the search went by all.
    assert {trial.status for trial in Report.of(run).trials} >= {"completed", "stopped"}
    assert run.read_json("search.json")["mup+sqrt"]["stopped"]["8"]["trials"] == 16
    again = run_sweep(declared, tmp_path / "again", Recorder())
    assert shown(again.rows()) == shown(run.rows())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"sweep": {"objective": "loss"}}, ("sweep.objective", "loss", "eval_loss")),
        ({"base_tokens": 1000, "recipe": {"horizon": "sde"}}, ("base_tokens", 1000)),
        ({"sweep": {"survivors": 0.5}}, ("sweep.survivors", 0.5, "grid")),
        ({"sweep": {"survivors": 0.0}}, ("sweep.survivors", 0.0)),
    ],
)
def test_a_sweep_whose_horizons_do_not_compare_is_refused(changes, names):
    training = {"steps": 20, "warmup": 2, "schedule": "constant", "horizons": [10, 20]}
    with refused(*names):
        read({"training": training} | changes)


def test_survivors_need_horizons():
    with refused("sweep.survivors", 0.5, "training.horizons"):
        read(
            {
                "sweep": {
                    "search": "adaptive",
                    "survivors": 0.5,
                    "space": {"learning_rate": [0.01, 0.1]},
                }
            }
        )


def test_costs_count_the_steps_of_branches():
    plain = dataclasses.replace(TRUNK, branch_steps=0)
    groups = [
        declared_groups(experiment(training=training, recipe=RecipeConfig(name="mup+sqrt")))[0]
        for training in (plain, TRUNK)
    ]
    pace = Pace((Timed(8, 0.5, 1e6),), "measured")
    costs = [group_cost(group, pace, trials=1) for group in groups]
    assert costs[1].flops == pytest.approx(costs[0].flops * 28 / 20)
    assert (costs[0].seconds, costs[1].seconds) == (10.0, 14.0)
    assert work(groups[1]) == pytest.approx(work(groups[0]) * 28 / 20)


@pytest.mark.parametrize(
    "looks", [pytest.param(2, marks=pytest.mark.full), 4, pytest.param(6, marks=pytest.mark.full)]
)
def test_a_sweep_that_is_stopped_resumes_to_the_same_tables(run, tmp_path, looks):
    """At the second look it takes steps, at the fourth a branch, at the sixth the next width."""
    asked = iter([False] * (looks - 1) + [True] + [False] * 1000)
    launcher = LocalLauncher(asked_to_stop=lambda: next(asked))
    with refused(error=TerminatedError, recorded=False):
        run_sweep(trunks(), tmp_path, Recorder(), launcher=launcher)
    again = run_sweep(trunks(), tmp_path, Recorder(), launcher=launcher)
    assert shown(again.rows()) == shown(run.rows())
    assert again.metrics().to_pylist() == run.metrics().to_pylist()

import dataclasses
import functools
import math
import pathlib
import shutil

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refused
from training.tiny import DATA, STEPS, Tiny

from transfer import sweeps
from transfer.data import load_dataset
from transfer.distributed import job
from transfer.probes import equilibrium_rms
from transfer.run_directory import TRIALS_SCHEMA, RunDirectory
from transfer.scaling import Hyperparameters, Recipe
from transfer.sweeps import declared_groups, remove_orphans, runner
from transfer.sweeps import unfinished as missing
from transfer.termination import TerminatedError
from transfer.training import TrialSpec, train
from transfer.training.kept_programs import KeptPrograms

from .small import BASE_WIDTH, RATES, WARMUP, Recorder, experiment

# The last rate is one at which nothing stays finite.
DECAY, SEEDS, WIDTHS, WILD = 0.1, (0, 3), (8, 16), 1e30
TRIALS = (len(RATES) + 1) * len(SEEDS)
PROGRAMS = KeptPrograms(most=16)
run_groups = functools.partial(sweeps.run_groups, programs=PROGRAMS)


@pytest.fixture(scope="module")
def declared():
    base = experiment()
    space = dataclasses.replace(base.sweep.space, learning_rate=(*RATES, WILD))
    return dataclasses.replace(base, sweep=dataclasses.replace(base.sweep, space=space))


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DATA)


@pytest.fixture(scope="module")
def swept(declared, dataset, tmp_path_factory):
    """A finished sweep and what its reporter was told; not to be changed."""
    run, reporter = RunDirectory(tmp_path_factory.mktemp("runs") / "swept"), Recorder()
    assert run_groups(run, dataset, declared_groups(declared), reporter) == []
    return run, reporter


@pytest.fixture
def copy(swept, tmp_path):
    shutil.copytree(swept[0].path, tmp_path / "copy")
    return RunDirectory(tmp_path / "copy")


def schedule(step):
    """Return the cosine schedule after its warmup, as papers print it."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def tables(run):
    """Return all tables as plain rows, without the time that they took."""
    untimed = {"wall_seconds": 0.0, "compile_seconds": 0.0}
    trials = [dataclasses.replace(trial, **untimed) for trial in run.trials()]
    rows = [run.metrics().to_pylist(), run.spectrum().to_pylist(), run.gains().to_pylist()]
    # As text, where NaN equals NaN.
    return repr(trials), *map(repr, rows)


def test_every_trial_is_in_the_tables_with_its_curve_and_its_singular_values(swept, declared):
    run, _ = swept
    trials = run.trials()
    names = [group.trial_name(spec) for group in declared_groups(declared) for spec in group.trials]

    assert {trial.trial for trial in trials} == set(names)
    assert len(trials) == len(names) == len(WIDTHS) * TRIALS
    assert run.metrics().num_rows == len(names) * STEPS
    # One hidden matrix in one layer, of which the top four are kept, before the first step and
    # after the last.
    assert run.spectrum().num_rows == len(names) * 2 * 4
    steps = {(row["trial"], row["step"]) for row in run.metrics().to_pylist()}
    assert steps == {(name, step) for name in names for step in range(1, STEPS + 1)}
    places = {
        (row["trial"], row["step"], row["parameter"], row["layer"], row["rank"])
        for row in run.spectrum().to_pylist()
    }
    assert places == {
        (name, step, "hidden.kernel", 0, rank)
        for name in names
        for step in (0, STEPS)
        for rank in range(4)
    }


def test_a_trial_says_what_was_trained(swept):
    for trial in swept[0].trials():
        assert (trial.base_width, trial.steps, trial.origin) == (BASE_WIDTH, STEPS, "sweep")
        assert (trial.recipe, trial.parametrization, trial.rates, trial.decay_rule) == (
            "mup+sqrt",
            "mup",
            "full",
            "sqrt",
        )
        assert trial.tokens == STEPS * DATA.batch_size * DATA.sequence_length
        assert trial.execution == "in_turn, 1 trial x 1 data"
        assert 0 < trial.compile_seconds < trial.wall_seconds


def test_flops_are_six_for_every_multiplied_parameter_and_token(swept):
    for trial in swept[0].trials():
        table, hidden = Tiny().vocabulary * trial.width, trial.width**2
        assert trial.parameters == 2 * table + hidden
        # The embedding table is only looked up; the readout, of the same size, is multiplied.
        assert trial.flops == 6 * (table + hidden) * trial.tokens


def test_settled_is_the_sum_of_learning_rate_times_decay_of_a_hidden_matrix(swept):
    total = sum(map(schedule, range(STEPS)))
    for trial in swept[0].trials():
        m = trial.width / BASE_WIDTH
        # muP divides the rate by m and the square root rule multiplies the decay by m^1/2.
        expected = total * (trial.learning_rate / m) * (DECAY * math.sqrt(m))
        assert trial.decay_times == pytest.approx(expected, rel=1e-6)


def test_curves_have_the_learning_rate_of_every_step(swept):
    rates = {trial.trial: trial.learning_rate for trial in swept[0].trials()}
    for row in swept[0].metrics().to_pylist():
        share = row["learning_rate"] / rates[row["trial"]]
        # The schedule is computed in float32, as a difference from 1.
        assert share == pytest.approx(schedule(row["step"] - 1), abs=1e-6)


def test_the_loss_is_the_mean_of_the_last_tenth_of_the_curve(swept):
    curves = {}
    for row in swept[0].metrics().to_pylist():
        curves.setdefault(row["trial"], {})[row["step"]] = row["loss"]
    finished = [trial for trial in swept[0].trials() if trial.status == "completed"]
    for trial in finished:
        curve = curves[trial.trial]
        last = (curve[STEPS - 1] + curve[STEPS]) / 2
        assert trial.loss == pytest.approx(last, rel=1e-6)
        assert trial.loss != pytest.approx(curve[STEPS], rel=1e-6)
    assert len(finished) == len(WIDTHS) * len(RATES) * len(SEEDS)


def test_a_diverged_trial_is_marked_and_has_no_losses(swept):
    for trial in swept[0].trials():
        wild = trial.learning_rate == WILD
        assert trial.status == ("diverged" if wild else "completed")
        assert math.isnan(trial.loss) == math.isnan(trial.eval_loss) == wild


def test_a_row_has_what_its_own_trial_measures(swept, declared, dataset):
    """Trained again in the opposite order, so that no row can have another's numbers."""
    group = declared_groups(declared)[1]
    backwards = dataclasses.replace(group, trials=group.trials[::-1])
    outcome = train(backwards, dataset, kept=PROGRAMS)
    trials = {trial.trial: trial for trial in swept[0].trials()}
    values, bounds = {}, {}
    for row in swept[0].spectrum().to_pylist():
        values.setdefault(row["trial"], []).append(row["singular_value"])
        bounds.setdefault(row["trial"], []).append(row["bound"])

    for index, spec in enumerate(backwards.trials):
        trial = trials[group.trial_name(spec)]
        rate = spec.hyperparameters.learning_rate
        assert (trial.width, trial.learning_rate, trial.seed) == (16, rate, spec.seed)
        for column, measured in ((values, outcome.spectrum), (bounds, outcome.measured["bounds"])):
            np.testing.assert_array_equal(
                column[trial.trial], measured["hidden.kernel"][index].reshape(-1)
            )
        if rate != WILD:
            assert trial.eval_loss == outcome.held_out["loss"][index]


def test_gains_stand_beside_the_equilibrium_of_their_step(swept):
    run, _ = swept
    trials = {trial.trial: trial for trial in run.trials()}
    rows = run.gains().to_pylist()
    assert {(row["trial"], row["step"], row["parameter"], row["layer"]) for row in rows} == {
        (name, step, "hidden.kernel", 0) for name in trials for step in (0, STEPS)
    }
    spectra = {
        (row["trial"], row["step"]): row["singular_value"]
        for row in run.spectrum().to_pylist()
        if row["rank"] == 0
    }
    for row in rows:
        trial = trials[row["trial"]]
        m = trial.width / BASE_WIDTH
        # mup+sqrt, by the first step's rate before it and the last one's after it.
        rate = trial.learning_rate / m * schedule(max(row["step"] - 1, 0))
        expected = equilibrium_rms(rate, DECAY * math.sqrt(m), 0.9)
        # The schedule is computed in float32, as a difference from 1.
        assert row["equilibrium_rms"] == pytest.approx(expected, rel=1e-4)
        if trial.status == "completed":
            # A square matrix: what remains of the gain is the alignment.
            sigma = spectra[row["trial"], row["step"]]
            assert row["gain"] == pytest.approx(sigma * row["alignment"], rel=1e-5)
            assert (row["update"] > 0) == (row["step"] > 0)


def test_the_reporter_follows_the_work(swept, declared):
    reporter = swept[1]

    assert reporter.started == [("mup+sqrt", 8), ("mup+sqrt", 16)]
    assert reporter.finished == [("mup+sqrt", 8, TRIALS), ("mup+sqrt", 16, TRIALS)]
    assert reporter.fractions == [0.4, 0.8, 1.0] * 2
    assert 0 < reporter.work[0] < reporter.work[1]


def test_a_finished_sweep_is_left_as_it_is(copy, declared, dataset):
    files = {file: file.read_bytes() for file in pathlib.Path(copy.path).rglob("*.parquet")}
    reporter = Recorder()

    assert run_groups(copy, dataset, declared_groups(declared), reporter) == []
    assert reporter.started == []
    assert {file: file.read_bytes() for file in files} == files
    assert missing(copy, declared_groups(declared)) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_only_what_is_missing_is_trained(swept, copy, declared, dataset, width):
    lost = next(group for group in declared_groups(declared) if group.shape.width == width)
    kept = pa.Table.from_pylist(
        [dataclasses.asdict(trial) for trial in copy.trials() if trial.group != lost.name],
        schema=TRIALS_SCHEMA,
    )
    pq.write_table(kept, copy.path / "trials.parquet")
    (copy.path / f"metrics/{lost.name}.parquet").unlink()
    (copy.path / f"spectrum/{lost.name}.parquet").unlink()
    reporter = Recorder()
    run_groups(copy, dataset, declared_groups(declared), reporter)

    assert reporter.started == [("mup+sqrt", width)]
    assert tables(copy) == tables(swept[0])


def test_a_wider_grid_trains_only_the_new_width(copy, declared, dataset):
    sweep = dataclasses.replace(declared.sweep, widths=(8, 16, 32), seeds=(0,))
    wider = dataclasses.replace(declared, sweep=sweep)

    assert [group.shape.width for group in missing(copy, declared_groups(wider))] == [32]


def test_a_finer_grid_trains_only_the_new_points(copy, declared, dataset):
    space = dataclasses.replace(declared.sweep.space, learning_rate=(*RATES, WILD, 2.0**-7))
    finer = dataclasses.replace(declared, sweep=dataclasses.replace(declared.sweep, space=space))

    groups = missing(copy, declared_groups(finer))

    assert [group.shape.width for group in groups] == list(WIDTHS)
    for group in groups:
        assert [spec.seed for spec in group.trials] == list(SEEDS)
        assert {spec.hyperparameters.learning_rate for spec in group.trials} == {2.0**-7}


def test_a_group_is_done_only_when_its_trials_are_written(
    swept, declared, dataset, tmp_path, monkeypatch
):
    run = RunDirectory(tmp_path / "run")
    groups = declared_groups(declared)
    run_groups(run, dataset, groups[:1], Recorder())
    write = RunDirectory.write_bytes

    def cut_off(self, name, content):
        if name == "trials.parquet":
            raise KeyboardInterrupt
        return write(self, name, content)

    monkeypatch.setattr(RunDirectory, "write_bytes", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_groups(run, dataset, groups, Recorder())
    monkeypatch.undo()

    assert len(list((run.path / "metrics").iterdir())) == 2
    assert missing(run, groups) == groups[1:]
    run_groups(run, dataset, groups, Recorder())
    assert tables(run) == tables(swept[0])


def test_a_group_that_the_hardware_gives_up_on_leaves_the_others_done(
    swept, declared, dataset, tmp_path, monkeypatch
):
    run = RunDirectory(tmp_path / "run")

    def out_of_memory(group, *arguments, **keywords):
        if group.shape.width == 8:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nat some place")
        return train(group, *arguments, **keywords)

    monkeypatch.setattr(runner, "train", out_of_memory)
    groups, reporter = declared_groups(declared), Recorder()
    failures = run_groups(run, dataset, groups, reporter)

    assert failures == ["mup+sqrt at width 8 failed: RESOURCE_EXHAUSTED: out of memory"]
    assert reporter.finished == [("mup+sqrt", 16, TRIALS)]
    assert {trial.width for trial in run.trials()} == {16}

    monkeypatch.undo()
    assert run_groups(run, dataset, groups, Recorder()) == []
    assert tables(run) == tables(swept[0])


def test_an_error_of_the_users_own_stops_the_sweep(declared, dataset, tmp_path):
    training = dataclasses.replace(declared.training, warmup=STEPS)
    wrong = dataclasses.replace(declared, training=training)

    with refused("warmup", 20):
        run_groups(RunDirectory(tmp_path), dataset, declared_groups(wrong), Recorder())


def test_a_single_run_goes_on_from_its_checkpoints(declared, dataset, tmp_path):
    class Interrupted(Recorder):
        def step(self, group, fraction, loss):
            super().step(group, fraction, loss)
            if fraction == 1.0:
                raise KeyboardInterrupt

    run, whole = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "whole")
    tuned = Hyperparameters(learning_rate=RATES[0], weight_decay=DECAY)
    training = dataclasses.replace(declared.training, checkpoint_every=8)
    checkpointed = dataclasses.replace(declared, training=training)
    group = [checkpointed.group(16, [TrialSpec(tuned, 3, Recipe("mup"))])]
    again = Recorder()
    with pytest.raises(KeyboardInterrupt):
        run_groups(run, dataset, group, Interrupted(), checkpoint_folder=run.checkpoints)
    run_groups(run, dataset, group, again, checkpoint_folder=run.checkpoints)
    run_groups(whole, dataset, group, Recorder())

    assert again.fractions == [1.0]
    assert tables(run) == tables(whole)


def test_a_sweep_asked_to_stop_saves_its_group_and_goes_on(declared, dataset, swept, tmp_path):
    groups, run, reporter = declared_groups(declared), RunDirectory(tmp_path / "run"), Recorder()
    # Asked before the first group, after its first and its second step, and after the chunk that
    # follows, which is the first whose length is known from how long a step takes.
    asked = iter([False, False, False, True])
    with refused(8, STEPS, error=TerminatedError):
        run_groups(run, dataset, groups, reporter, asked_to_stop=lambda: next(asked))
    assert run.trials() == []
    (folder,) = run.checkpoints.iterdir()
    assert (folder.name, [each.name for each in folder.iterdir()]) == (groups[0].name, ["8"])

    again = Recorder()
    run_groups(run, dataset, groups, again)
    assert again.trained_from == [0.4, 0.0]
    assert again.fractions == [0.8, 1.0, 0.4, 0.8, 1.0]
    assert list(run.checkpoints.iterdir()) == []
    assert tables(run) == tables(swept[0])


@pytest.mark.parametrize(
    ("backend", "spare", "ahead"),
    [("cpu", 0, False), ("cpu", 1, True), ("gpu", 1, False), ("tpu", 0, True)],
)
def test_the_next_group_is_compiled_where_that_takes_nothing_from_training(
    declared, dataset, monkeypatch, backend, spare, ahead
):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    monkeypatch.setattr(job, "cores", lambda: jax.local_device_count() + spare)
    _, *following = declared_groups(declared)
    programs = KeptPrograms()
    assert (runner._compile_ahead(programs, following, dataset) != ()) == ahead
    assert runner._compile_ahead(programs, [], dataset) == ()


def test_a_sweep_asked_to_stop_between_groups_begins_none(declared, dataset, tmp_path):
    groups, reporter = declared_groups(declared), Recorder()
    with refused(2, error=TerminatedError):
        run_groups(
            RunDirectory(tmp_path),
            dataset,
            groups,
            reporter,
            asked_to_stop=lambda: True,
        )
    assert reporter.started == []


def test_what_is_left_of_a_group_that_is_done_is_removed(declared, dataset, copy):
    groups = declared_groups(declared)
    left = copy.checkpoints / groups[0].name / "8"
    left.mkdir(parents=True)
    (copy.checkpoints / "another").mkdir()

    run_groups(copy, dataset, groups, Recorder())
    assert [each.name for each in copy.checkpoints.iterdir()] == ["another"]


def test_checkpoints_that_no_group_of_a_grown_sweep_goes_on_from_are_removed(
    declared, dataset, copy
):
    grown = experiment()
    space = dataclasses.replace(grown.sweep.space, learning_rate=(*RATES, WILD, 2.0**-7))
    grown = dataclasses.replace(grown, sweep=dataclasses.replace(grown.sweep, space=space))
    groups = declared_groups(grown)
    left = [
        *(group.name for group in declared_groups(declared)),  # done, and killed before they went
        *(group.name for group in groups),  # begun before the sweep grew once more
        "width-32-01234567",  # of a target
        "standard-8-01234567",  # of what this sweep knows nothing of
    ]
    going_on = missing(copy, groups)[0].name
    for name in (*left, going_on):
        (copy.checkpoints / name / "8").mkdir(parents=True)

    remove_orphans(copy, groups)
    kept = {each.name for each in copy.checkpoints.iterdir()}
    assert kept == {going_on, "width-32-01234567", "standard-8-01234567"}


def test_events_are_written_only_where_they_were_asked_for(tmp_path, declared, dataset):
    training = dataclasses.replace(declared.training, tensorboard=True)
    watched = dataclasses.replace(declared, training=training)
    for each, asked in ((declared, False), (watched, True)):
        run = RunDirectory(tmp_path / str(asked))
        group = declared_groups(each)[0]
        assert run_groups(run, dataset, [group], Recorder()) == []
        assert run.tensorboard.exists() == asked
    assert {each.name for each in run.tensorboard.iterdir()} == {
        trial.trial for trial in run.trials()
    }

"""Runs that are the same under several recipes: trained once, recorded under each."""

import dataclasses
import json

import numpy as np
import pytest
from training.tiny import DATA, group

from transfer.data import load_dataset
from transfer.run_directory import RunDirectory
from transfer.scaling import Hyperparameters, Recipe
from transfer.sweeps.adaptive import SEARCH
from transfer.sweeps.shared_trials import leading_recipes, record_under
from transfer.sweeps.tables import tables
from transfer.training import BaseSizes, train
from transfer.training.kept_programs import KeptPrograms

from .small import experiment
from .test_adaptive import ADAPTIVE, searched

STANDARD, MUP = Recipe("standard"), Recipe("mup")
PROGRAMS = KeptPrograms()
FREE = ("trial", "group", "wall_seconds", "compile_seconds", "execution")


def trained(base_width, path=None):
    """Train one setting under both recipes, at width 16; returns the group and its outcome."""
    setting = Hyperparameters(learning_rate=2.0**-7, weight_decay=0.1)
    settings = [(setting, 0, STANDARD), (setting, 0, MUP), (setting, 3, STANDARD)]
    made = group(settings, base=BaseSizes(width=base_width))
    return made, train(made, load_dataset(DATA), kept=PROGRAMS)


@pytest.mark.parametrize(("base_width", "same"), [(16, True), (8, False)])
def test_recipes_are_alike_where_they_train_the_same_losses_bit_for_bit(base_width, same):
    _, outcome = trained(base_width)
    standard, mup, _ = outcome.history["loss"]
    leaders = leading_recipes(experiment(base_width=base_width), 16, [STANDARD, MUP])

    assert np.array_equal(standard, mup) == same
    assert (leaders[MUP] == STANDARD) == same
    assert leaders[STANDARD] == STANDARD


def test_a_recipe_that_is_another_at_the_base_width_too_leads_itself():
    decayed = dataclasses.replace(MUP, decay_readout=True)
    leaders = leading_recipes(experiment(base_width=8), 8, [STANDARD, decayed, MUP])
    assert leaders == {STANDARD: STANDARD, decayed: decayed, MUP: STANDARD}


def test_what_is_recorded_is_what_training_it_would_record(tmp_path):
    made, outcome = trained(16)
    both, alone = RunDirectory(tmp_path / "both"), RunDirectory(tmp_path / "alone")
    rows = tables(made, outcome)
    both.add_group(made.name, rows.trials, rows.metrics, rows.spectrum, rows.gains)

    leader = dataclasses.replace(
        made, trials=tuple(spec for spec in made.trials if spec.recipe == STANDARD)
    )
    names = {leader.trial_name(spec) for spec in leader.trials}
    mine = [
        [row for row in found if row["trial"] in names]
        for found in (rows.metrics, rows.spectrum, rows.gains)
    ]
    alone.add_group(leader.name, [t for t in rows.trials if t.trial in names], *mine)
    record_under(alone, leader, {STANDARD: STANDARD, MUP: STANDARD})

    def told(run):
        fields = [dataclasses.asdict(trial) for trial in run.trials()]
        return [{k: v for k, v in each.items() if k not in FREE} for each in fields]

    def curves(run, name):
        found = [run.metrics(), run.spectrum(), run.gains()]
        return [[row for row in table.to_pylist() if row["trial"] == name] for table in found]

    # Of the second seed only the standard run was trained above.
    assert [each for each in told(alone) if (each["recipe"], each["seed"]) != ("mup+sqrt", 3)] == (
        told(both)
    )
    mup = made.trial_name(made.trials[1])
    assert repr(curves(alone, mup)) == repr(curves(both, mup))
    assert all(curves(alone, mup))
    before = alone.trials()
    record_under(alone, leader, {STANDARD: STANDARD, MUP: STANDARD})
    assert alone.trials() == before


def test_a_search_trains_what_is_the_same_under_both_recipes_once(tmp_path):
    train = searched(tmp_path, base_width=8)
    trials = train.run.trials()
    asked = {group.trial_name(spec) for group in train.groups for spec in group.trials}
    narrow = [trial for trial in trials if trial.width == 8]
    copied = [trial for trial in trials if trial.trial not in asked]

    assert {(trial.width, trial.recipe) for trial in copied} == {(8, "mup+sqrt")}
    assert len(narrow) == 2 * len(copied)
    assert {trial.wall_seconds for trial in copied} == {0.0}
    # Both searches begin the next width with what was trained for one.
    found = json.loads((tmp_path / SEARCH).read_text())
    stopped = [each["stopped"]["8"] for each in found.values()]
    assert stopped[0] == stopped[1]
    assert len(asked) < len({t.trial for t in searched(tmp_path / "apart").run.trials()})


def test_two_names_of_one_run_say_which_was_trained(tmp_path):
    train = searched(tmp_path, changes=ADAPTIVE | {"widths": (8, 16)}, base_width=8)
    by_name = {trial.trial: trial for trial in train.run.trials()}
    for trial in by_name.values():
        name = trial.execution.removeprefix("that of trial ")
        if name != trial.execution:
            assert by_name[name].eval_loss == trial.eval_loss
            assert by_name[name].learning_rate == trial.learning_rate
            assert by_name[name].seed == trial.seed

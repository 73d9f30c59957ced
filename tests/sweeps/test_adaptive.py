"""Rounds of an adaptive search and grids that extend themselves, trained by arithmetic."""

import dataclasses
import json
import math

import pytest
from refusals import refused

from transfer.config import SearchSpace, SweepConfig, read
from transfer.run_directory import RunDirectory
from transfer.sweeps import declared_groups, run_sweep
from transfer.sweeps.adaptive import SEARCH, search_adaptively
from transfer.sweeps.extension import extend_grids
from transfer.training.kept_programs import KeptPrograms

from .small import Recorder, experiment, row, swept

ADAPTIVE = {
    "search": "adaptive",
    "widths": (8, 16),
    "recipes": ("standard", "mup+sqrt"),
    "seeds": (0, 3),
    "space": SearchSpace(learning_rate=(2.0**-9, 2.0**-3)),
    "population": 3,
    "tolerance": 0.004,
}


class Trainer:
    """Adds what is missing of groups to a run, with losses that are a bowl for each recipe."""

    def __init__(self, run, *, killed_after=math.inf, bottom=-6.0, diverges_above=math.inf):
        self.run, self.groups, self.left = run, [], killed_after
        self.bottom, self.diverges_above = bottom, diverges_above

    def __call__(self, group):
        self.groups.append(group)
        done = {trial.trial for trial in self.run.trials()}
        missing = [spec for spec in group.trials if group.trial_name(spec) not in done]
        trained = missing[: min(self.left, len(missing))]
        if trained:
            rows = [self.row(group, spec) for spec in trained]
            self.run.add_group(f"{group.name}-{len(trained)}", rows, [], [])
        if len(trained) < len(missing):
            raise KeyboardInterrupt
        self.left -= len(trained)

    def row(self, group, spec):
        slope = -1.0 if str(spec.recipe).startswith("standard") else 0.0
        x = math.log2(spec.hyperparameters.learning_rate)
        if x > self.diverges_above:
            return row(group, spec, math.nan, status="diverged")
        bottom = self.bottom + slope * math.log2(group.shape.width / 8)
        noise = 0.001 * math.sin(1e3 * x + spec.seed + group.shape.width)
        return row(group, spec, 2.0 * math.exp(0.02 * (x - bottom) ** 2 + noise))


def searched(path, trainer=Trainer, changes=ADAPTIVE, base_width=32, **how):
    run = RunDirectory(path)
    train = trainer(run, **how)
    search_adaptively(swept(experiment(base_width=base_width), **changes), run, train)
    return train


def test_each_recipe_is_searched_where_its_own_bottom_lies(tmp_path):
    train = searched(tmp_path)
    found = json.loads((tmp_path / SEARCH).read_text())

    for recipe, bottoms in (("standard+constant", {8: -6, 16: -7}), ("mup+sqrt", {8: -6, 16: -6})):
        best = found[next(name for name in found if name.startswith(recipe.partition("+")[0]))]
        for width, bottom in bottoms.items():
            assert best["best_log2"][str(width)]["learning_rate"] == pytest.approx(bottom, abs=0.26)
        assert {each["reason"] for each in best["stopped"].values()} == {"tolerance"}
    assert {trial.width for trial in train.run.trials()} == {8, 16}


def test_every_point_is_trained_with_every_seed_in_rounds_of_one_size(tmp_path):
    class Flat(Trainer):
        """Losses that say nothing of a bottom, 2 % up and down, so that no search ends early."""

        def row(self, group, spec):
            x = math.log2(spec.hyperparameters.learning_rate)
            return row(group, spec, math.exp(0.02 * math.sin(1e4 * x + spec.seed)))

    train = searched(tmp_path, Flat, changes=ADAPTIVE | {"trials": 12})

    # 3 points of 2 recipes with 2 seeds; 12 trials at a width are 2 rounds.
    assert [(group.shape.width, len(group.trials), group.slots) for group in train.groups] == [
        (8, 12, 12), (8, 12, 12), (16, 12, 12), (16, 12, 12),
    ]  # fmt: skip
    for group in train.groups:
        points = {(str(t.recipe), t.hyperparameters): set() for t in group.trials}
        for trial in group.trials:
            points[str(trial.recipe), trial.hyperparameters].add(trial.seed)
        assert set(map(frozenset, points.values())) == {frozenset({0, 3})}


def test_a_recipe_that_is_done_leaves_its_slots_to_the_others(tmp_path):
    class Uneven(Trainer):
        """Losses under standard say nothing of a bottom, 2 % up and down."""

        def row(self, group, spec):
            if str(spec.recipe).startswith("mup"):
                return super().row(group, spec)
            x = math.log2(spec.hyperparameters.learning_rate)
            return row(group, spec, math.exp(0.02 * math.sin(1e4 * x + spec.seed)))

    train = searched(tmp_path, Uneven)
    alone = [group for group in train.groups if len(group.recipes) == 1]
    assert {str(group.recipes[0]) for group in alone} == {"standard"}
    assert len(alone[0].trials) == len(train.groups[0].trials) == 12


@pytest.mark.parametrize(("killed_after", "base_width"), [(5, 32), (19, 32), (8, 8)])
def test_a_search_that_is_killed_and_started_again_ends_with_the_same_table(
    tmp_path, killed_after, base_width
):
    whole = searched(tmp_path / "whole", base_width=base_width)
    assert killed_after < len(whole.run.trials())
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "killed", killed_after=killed_after, base_width=base_width)
    again = searched(tmp_path / "killed", base_width=base_width)

    def table(run):
        # Which group a trial was added with is the only trace that a kill leaves here.
        return [dataclasses.replace(trial, group="") for trial in run.trials()]

    assert len(again.run.trials()) == len(whole.run.trials())
    assert table(again.run) == table(whole.run)
    assert (tmp_path / "killed" / SEARCH).read_text() == (tmp_path / "whole" / SEARCH).read_text()
    assert [group.name for group in again.groups] == [group.name for group in whole.groups]


def test_a_sweep_trains_its_rounds_in_one_program_a_width_and_nothing_twice(tmp_path, monkeypatch):
    changes = {"recipes": ("mup+sqrt",), "population": 2, "trials": 8, "tolerance": 1e-6}
    declared = swept(experiment(), **(ADAPTIVE | changes))
    compiled = []
    compile_one = KeptPrograms.compile

    def counted(self, built, held_out):
        program = compile_one(self, built, held_out)
        compiled.append(id(program))
        return program

    monkeypatch.setattr(KeptPrograms, "compile", counted)
    first, again = Recorder(), Recorder()
    trials = run_sweep(declared, tmp_path, first).trials()

    # Two rounds of 2 points with 2 seeds at each width.
    assert first.finished == [("mup+sqrt", width, 4) for width in (8, 8, 16, 16)]
    assert len(compiled) == 4
    assert compiled[0] == compiled[1] != compiled[2] == compiled[3]
    assert run_sweep(declared, tmp_path, again).trials() == trials
    assert again.started == []
    with refused("sweep.search"):
        run_sweep(swept(declared, search="random"), tmp_path)


def test_another_seed_of_the_search_tries_other_points(tmp_path):
    rates = [
        {
            trial.learning_rate
            for trial in searched(tmp_path / str(seed), changes=changes).run.trials()
        }
        for seed in (0, 1)
        for changes in [ADAPTIVE | {"search_seed": seed}]
    ]
    assert rates[0] != rates[1]


def test_points_above_one_that_diverged_are_left_out(tmp_path):
    train = searched(tmp_path, bottom=-5.5, diverges_above=-4.5)
    for width in (8, 16):
        trials = [trial for trial in train.run.trials() if trial.width == width]
        first = next(group for group in train.groups if group.shape.width == width)
        asked = {first.trial_name(spec) for spec in first.trials}
        wild = [t.learning_rate for t in trials if t.status == "diverged" and t.trial in asked]
        later = [t.learning_rate for t in trials if t.trial not in asked]
        assert not wild or all(rate < min(wild) for rate in later)


def test_a_search_whose_bottom_lies_outside_extends_its_range(tmp_path):
    changes = ADAPTIVE | {"recipes": ("mup+sqrt",)}
    for extend, reaches in ((0, -3.0), (2, -1.0)):
        train = searched(tmp_path / str(extend), changes=changes | {"extend": extend}, bottom=-1.5)
        highest = max(trial.learning_rate for trial in train.run.trials())
        assert (math.log2(highest) > -3.0) == bool(extend)
        assert math.log2(highest) <= reaches


@pytest.mark.parametrize(
    ("bottom", "extend", "rates"),
    [(-6.0, 2, {-8, -6, -4}), (-2.5, 1, {-8, -6, -4, -2}), (-11.0, 2, {-12, -10, -8, -6, -4})],
)
def test_a_grid_extends_itself_where_the_best_point_lies_at_its_end(
    tmp_path, bottom, extend, rates
):
    space = SearchSpace(learning_rate=(2.0**-8, 2.0**-6, 2.0**-4))
    declared = swept(experiment(), space=space, seeds=(0, 3), extend=extend, recipes=("mup+sqrt",))
    run, groups = RunDirectory(tmp_path), declared_groups(declared)
    train = Trainer(run, bottom=bottom)
    for group in groups:
        train(group)
    extend_grids(declared, run, groups, train)

    for width in (8, 16):
        trials = [trial for trial in run.trials() if trial.width == width]
        assert {math.log2(trial.learning_rate) for trial in trials} == rates
        assert len(trials) == 2 * len(rates)
    # The programs of the grid serve its extension too.
    assert {group.slots for group in train.groups[2:]} <= {6}


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ({"search": "adaptve"}, ("sweep.search", "adaptve", "adaptive")),
        ({"tolerance": 0.0}, ("sweep.tolerance", 0.0)),
        ({"tolerance": 1.5}, ("sweep.tolerance", 1.5)),
        ({"trials": 0}, ("sweep.trials", 0)),
        (
            {
                "search": "adaptive",
                "space": {"learning_rate": [0.1, 0.4]},
                "trials": 11,
                "seeds": [0, 1, 2],
            },
            ("sweep.trials", 11, 12),
        ),
        ({"population": 0}, ("sweep.population", 0)),
        ({"extend": -1}, ("sweep.extend", -1)),
        (
            {"search": "adaptive", "space": {"learning_rate": [0.1, 0.11]}},
            ("sweep.space.learning_rate",),
        ),
        (
            {"search": "adaptive", "space": {"learning_rate": [0.1, 0.2, 0.4]}},
            ("sweep.space.learning_rate",),
        ),
    ],
)
def test_a_value_that_makes_no_search_is_refused(section, names):
    with refused(*names):
        read({"sweep": section})


def test_a_round_of_one_point_is_a_search(tmp_path):
    declared = swept(experiment(), **(ADAPTIVE | {"population": 1}))
    assert [len(group.trials) for group in declared_groups(declared)] == [4, 4]

    train = searched(tmp_path, changes=ADAPTIVE | {"population": 1})
    assert {group.slots for group in train.groups} == {4}
    assert len(train.groups[0].trials) == 4
    assert {trial.width for trial in train.run.trials()} == {8, 16}


def test_an_adaptive_search_without_a_range_of_learning_rates_is_refused():
    with refused("sweep.space.learning_rate"):
        declared_groups(swept(experiment(), **(ADAPTIVE | {"space": SearchSpace()})))
    # What only an adaptive search heeds is not refused elsewhere.
    assert len(SweepConfig(seeds=tuple(range(30))).seeds) > SweepConfig().trials

import dataclasses
import math

import pytest

from transfer.config import RecipeConfig
from transfer.models import TransformerConfig
from transfer.run_directory import RunDirectory
from transfer.scaling import Hyperparameters
from transfer.sweeps import bracket
from transfer.sweeps.bracket import MAX_ROUNDS

from .small import experiment, row, swept

WIDTH, RECIPE = 64, "mup+sqrt"
PREDICTED = Hyperparameters(learning_rate=2.0**-6.3, weight_decay=0.2, readout_output=4.0)


class Trainer:
    """Adds groups to a run with losses that are a bowl in log2 of the learning rate."""

    def __init__(self, run, optimum, diverges_above=math.inf):
        self.run, self.optimum, self.groups = run, optimum, []
        self.diverges_above = diverges_above

    def __call__(self, group):
        self.groups.append(group)
        self.run.add_group(group.name, [self._row(group, each) for each in group.trials], [], [])

    def _row(self, group, spec):
        exponent = math.log2(spec.hyperparameters.learning_rate)
        if exponent > self.diverges_above:
            return row(group, spec, math.nan, status="diverged")
        return row(group, spec, 3.0 + 0.1 * (exponent - self.optimum) ** 2)

    def rounds(self):
        """Return the exponents that each round asked for as a sweep."""
        return [
            sorted(
                {
                    math.log2(spec.hyperparameters.learning_rate)
                    for spec in group.trials
                    if spec.origin == "sweep"
                }
            )
            for group in self.groups
        ]


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path)


def target(width=WIDTH, recipe=RECIPE, **changes):
    model = TransformerConfig(width=width, layers=1, head_dim=8)
    return swept(experiment(model=model, recipe=RecipeConfig(name=recipe)), **changes)


def search(trainer, expected, seeds=(0, 3), **changes):
    bracket(target(seeds=seeds, **changes), trainer.run, PREDICTED, expected, trainer)
    return trainer


@pytest.mark.parametrize(
    ("optimum", "expected", "rounds"),
    [
        (-6.2, -6.2, [[-7, -6, -5]]),
        (-6.2, -6.4, [[-7, -6, -5]]),
        (-6.2, -8.2, [[-9, -8, -7], [-6], [-5]]),
        (-6.2, -3.8, [[-5, -4, -3], [-6], [-7]]),
        (-6.2, -5.0, [[-6, -5, -4], [-7]]),
    ],
)
def test_a_bracket_is_widened_until_its_best_point_lies_inside(run, optimum, expected, rounds):
    assert search(Trainer(run, optimum), expected).rounds() == rounds


def test_a_bracket_may_start_with_more_points(run):
    trainer = search(Trainer(run, -6.2), -8.2, bracket=5)
    assert trainer.rounds() == [[-10, -9, -8, -7, -6], [-5]]


@pytest.mark.parametrize(("optimum", "side"), [(-20.0, -1), (20.0, 1)])
def test_an_optimum_far_away_is_given_up_after_so_many_rounds(run, optimum, side):
    rounds = search(Trainer(run, optimum), -6.0).rounds()

    assert len(rounds) == MAX_ROUNDS == 4
    assert rounds[1:] == [[-6 + side * step] for step in (2, 3, 4)]


def test_the_prediction_is_trained_as_it_stands_and_is_no_part_of_the_sweep(run):
    search(Trainer(run, -6.2), -6.2)
    predicted = [each for each in run.trials() if each.origin == "predicted"]

    assert [each.seed for each in predicted] == [0, 3]
    assert {each.learning_rate for each in predicted} == {PREDICTED.learning_rate}


def test_the_prediction_says_nothing_about_the_points_of_the_sweep(run):
    class Lucky(Trainer):
        """The prediction, at 2^-6.3, would make the edge at 2^-6 look best."""

        def _row(self, group, spec):
            found = super()._row(group, spec)
            lucky = found.origin == "predicted"
            return dataclasses.replace(found, eval_loss=found.eval_loss - lucky)

    assert search(Lucky(run, -5.0), -5.0).rounds() == [[-6, -5, -4]]


def test_only_the_learning_rate_differs_from_the_prediction(run):
    trainer = search(Trainer(run, -6.2), -8.2)

    for group in trainer.groups:
        assert (group.shape.width, group.recipe_names) == (WIDTH, RECIPE)
        for spec in group.trials:
            rate = spec.hyperparameters.learning_rate
            expected = dataclasses.replace(PREDICTED, learning_rate=rate)
            assert spec.hyperparameters == expected


def test_every_point_is_trained_at_every_seed_once(run):
    trainer = search(Trainer(run, -6.2), -8.2, seeds=(0, 1, 2))
    asked = [each for group in trainer.groups for each in group.trials if each.origin == "sweep"]

    assert len(asked) == len(set(asked)) == 5 * 3


def test_a_diverged_point_is_worse_than_any_other(run):
    trainer = Trainer(run, optimum=0.0, diverges_above=-6.5)
    # The best of what is left is at the edge of what diverges, inside the bracket.
    assert search(trainer, -7.0).rounds() == [[-8, -7, -6]]


def test_the_best_point_is_that_of_the_mean_over_seeds(run):
    class Uneven(Trainer):
        """One seed alone would put the best point on the edge at -5."""

        def _row(self, group, spec):
            found = super()._row(group, spec)
            luck = -0.5 * (spec.seed == 3 and found.learning_rate == 2.0**-5)
            return dataclasses.replace(found, eval_loss=found.eval_loss + luck)

    alone = search(Uneven(RunDirectory(run.path / "one"), -6.0), -6.0, seeds=(3,))
    assert len(alone.rounds()) > 1
    many = search(Uneven(RunDirectory(run.path / "six"), -6.0), -6.0, seeds=(0, 1, 2, 3, 4, 5))
    assert many.rounds() == [[-7, -6, -5]]


def test_other_widths_and_recipes_in_the_directory_are_not_looked_at(run):
    best_elsewhere = Trainer(run, -6.0)
    for width, recipe in ((32, RECIPE), (WIDTH, "standard")):
        bracket(target(width, recipe, seeds=(0,)), run, PREDICTED, -6.0, best_elsewhere)

    assert search(Trainer(run, -8.0), -6.0).rounds() == [[-7, -6, -5], [-8], [-9]]

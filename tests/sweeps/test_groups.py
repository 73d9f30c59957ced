import dataclasses
import itertools
import math

import pytest
from refusals import refused

from transfer.config import Experiment, SearchSpace, SweepConfig
from transfer.data import DataConfig, ImageConfig
from transfer.models import CNNConfig, TransformerConfig
from transfer.scaling import Calibration, Hyperparameters, Recipe
from transfer.scaling.hyperparameters import NAMES
from transfer.sharding import MeshConfig
from transfer.sweeps import declared_groups
from transfer.training import Shape, TrainingConfig, TrialSpec

RATES = (2.0**-8, 2.0**-7, 2.0**-6)
GRID = SweepConfig(
    widths=(64, 16, 32),
    recipes=("standard", "mup+sqrt"),
    seeds=(0, 1),
    space=SearchSpace(learning_rate=RATES, weight_decay=(0.05, 0.2), readout_output=(1.0, 4.0)),
)
EXPERIMENT = Experiment(
    base_width=16,
    hyperparameters=Hyperparameters(learning_rate=0.5, weight_decay=0.1, init_scale=0.7),
    sweep=GRID,
)
MEASURED = Calibration(paths=("up",), exponents=(0.7,), swept=0.5, widest=2.0)
RANDOM = dataclasses.replace(
    GRID,
    search="random",
    samples=200,
    space=SearchSpace(learning_rate=(1e-4, 1.0), weight_decay=(0.01, 0.1)),
)


def groups(**changes):
    sweep = dataclasses.replace(EXPERIMENT.sweep, **changes)
    return declared_groups(dataclasses.replace(EXPERIMENT, sweep=sweep))


def points(group):
    return [spec.hyperparameters for spec in group.trials]


def test_a_group_has_every_combination_of_every_recipe_at_every_seed_once():
    recipes = ("standard", "mup+sqrt")
    for group in groups():
        found = {
            (str(s.recipe), s.hyperparameters.learning_rate, s.hyperparameters.weight_decay,
             s.hyperparameters.readout_output, s.seed)
            for s in group.trials
        }  # fmt: skip
        assert found == set(itertools.product(recipes, RATES, (0.05, 0.2), (1.0, 4.0), (0, 1)))
        assert len(group.trials) == 2 * 3 * 2 * 2 * 2
        assert {spec.origin for spec in group.trials} == {"sweep"}


def test_there_is_a_group_for_every_width_and_narrow_ones_come_first():
    assert [(group.shape.width, group.recipe_names) for group in groups()] == [
        (width, "standard, mup+sqrt") for width in (16, 32, 64)
    ]


def test_what_is_not_searched_stays_at_the_experiments_own_value():
    for point in points(groups()[0]):
        assert point.init_scale == 0.7
        assert point.input_learning_rate == 1.0


def test_a_value_listed_twice_is_trained_once():
    space = SearchSpace(learning_rate=(*RATES, RATES[0]))
    assert len(groups(space=space, seeds=(0,))[0].trials) == 2 * 3


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"widths": ()}, ("sweep.widths", ())),
        ({"recipes": ()}, ("sweep.recipes", ())),
        ({"seeds": ()}, ("sweep.seeds", ())),
        ({"widths": (16, 16)}, ("sweep.widths", (16, 16))),
        ({"seeds": (1, 1)}, ("sweep.seeds", (1, 1))),
        ({"recipes": ("mup", "mup")}, ("sweep.recipes", "mup+sqrt")),
        # The same rules by two names would be trained twice and compared with themselves.
        ({"recipes": ("mup", "mup+sqrt")}, ("sweep.recipes", "mup+sqrt")),
        ({"space": SearchSpace(learning_rate=(0.1,))}, ("sweep.space.learning_rate",)),
        ({"space": SearchSpace(learning_rate=(0.1, 0.1))}, ("sweep.space.learning_rate",)),
        ({"space": SearchSpace(weight_decay=(0.1, 0.2))}, ("sweep.space.learning_rate",)),
    ],
)
def test_a_sweep_that_answers_nothing_is_refused(changes, names):
    with refused(*names):
        groups(**changes)


def test_a_random_search_tries_the_same_points_at_every_width_and_recipe():
    sweeps = declared_groups(dataclasses.replace(EXPERIMENT, sweep=RANDOM))

    assert len(sweeps) == 3
    tried = [
        tuple(spec.hyperparameters for spec in group.trials if spec.recipe == recipe)
        for group in sweeps
        for recipe in group.recipes
    ]
    assert len(tried) == 6
    assert len(set(tried)) == 1
    assert len(tried[0]) == 2 * RANDOM.samples


def test_a_random_search_is_set_by_its_seed():
    def draw(search_seed):
        sweep = dataclasses.replace(RANDOM, search_seed=search_seed)
        return declared_groups(dataclasses.replace(EXPERIMENT, sweep=sweep))[0].trials

    assert draw(0) == draw(0)
    assert not set(draw(0)) & set(draw(1))


def test_a_random_search_is_uniform_in_the_logarithm_between_its_bounds():
    group = declared_groups(dataclasses.replace(EXPERIMENT, sweep=RANDOM))[0]
    for name, low, high in (("learning_rate", 1e-4, 1.0), ("weight_decay", 0.01, 0.1)):
        drawn = [getattr(point, name) for point in dict.fromkeys(points(group))]
        assert all(low <= value <= high for value in drawn)
        places = [math.log(value / low) / math.log(high / low) for value in drawn]
        # Of 200 uniform draws, a quarter falls into each quarter within 4 standard deviations.
        for quarter in range(4):
            inside = sum(quarter <= 4 * place < quarter + 1 for place in places)
            assert abs(inside - 50) < 4 * math.sqrt(200 * 0.25 * 0.75)
    rates, decays = ([getattr(p, name) for p in points(group)] for name in NAMES[:2])
    assert len(set(zip(rates, decays, strict=True))) == RANDOM.samples
    # Drawn one by one: the largest rate does not come with the largest decay.
    assert rates.index(max(rates)) != decays.index(max(decays))


def group_of(*specs, experiment=EXPERIMENT, width=32):
    return experiment.group(width, specs)


def spec(**changes):
    fields = {"hyperparameters": Hyperparameters(learning_rate=0.1), "seed": 0}
    return TrialSpec(**({"recipe": Recipe("mup")} | fields | changes))


def named(experiment=EXPERIMENT, width=32, **changes):
    """The name of a trial whose recipe has the experiment's options."""
    asked = spec(**({"recipe": experiment.recipe.build("mup+sqrt")} | changes))
    return group_of(asked, experiment=experiment, width=width).trial_name(asked)


def changed(**changes):
    return dataclasses.replace(EXPERIMENT, **changes)


@pytest.mark.parametrize(
    "other",
    [
        named(seed=1),
        named(origin="predicted"),
        *(
            named(hyperparameters=Hyperparameters(**({"learning_rate": 0.1} | {name: 0.3})))
            for name in NAMES
        ),
        named(width=64),
        named(recipe=Recipe("standard")),
        named(recipe=Recipe("mup", depth="completep")),
        named(recipe=Recipe("mup", horizon="sde")),
        named(recipe=Recipe("mup", decay=MEASURED)),
        named(changed(base_width=32)),
        named(changed(model=TransformerConfig(layers=2))),
        named(changed(model=TransformerConfig(dtype="float32"))),
        named(changed(training=TrainingConfig(steps=100))),
        named(changed(training=TrainingConfig(schedule="linear"))),
        named(changed(data=DataConfig(name="synthetic"))),
        named(changed(data=DataConfig(batch_size=8))),
        named(changed(data=DataConfig(eval_sequences=32))),
        named(changed(recipe=dataclasses.replace(EXPERIMENT.recipe, clipping="raw"))),
        named(changed(recipe=dataclasses.replace(EXPERIMENT.recipe, decay_readout=True))),
    ],
)
def test_a_trial_is_named_by_what_decides_its_outcome(other):
    assert other != named()


@pytest.mark.parametrize(
    "other",
    [
        named(changed(data=DataConfig(data_dir="/elsewhere"))),
        named(changed(name="another name")),
        named(changed(seed=9)),  # that of a single run; a setting has its own
        named(changed(model=TransformerConfig(width=1024))),  # the target's; a group has its own
        named(changed(sweep=RANDOM)),
        named(changed(hyperparameters=Hyperparameters(learning_rate=9.0))),
        named(changed(recipe=dataclasses.replace(EXPERIMENT.recipe, name="standard"))),
        named(changed(mesh=MeshConfig(fsdp=8))),
        # What a recipe does by itself may be said.
        named(recipe=Recipe("mup", rates="full", decay="sqrt", clipping="invariant")),
    ],
)
def test_a_trial_is_not_named_by_anything_else(other):
    assert other == named()


def test_groups_and_trials_keep_their_names():
    # A run directory of last week is only resumed if names mean the same today.
    assert group_of(spec()).name == "width-32-679f0b69"
    assert named(changed(model=CNNConfig(), data=ImageConfig())) == "b41a1bdef7bb"


def test_a_group_is_named_by_its_trials_in_a_way_that_a_file_can_be():
    other_recipe = group_of(spec(recipe=Recipe("mup", rates="uniform")))
    other_seed = group_of(spec(seed=1))

    assert "/" not in other_recipe.name
    assert len({group_of(spec()).name, other_recipe.name, other_seed.name}) == 3
    assert group_of(spec(), spec(recipe=Recipe("standard"))).recipe_names == "mup+sqrt, standard"


def test_a_group_knows_its_shape():
    short = changed(training=TrainingConfig(steps=7), data=DataConfig(batch_size=4))
    shape = group_of(experiment=short, width=64).shape
    assert shape == Shape(width=64, layers=3, batch_size=4, steps=7, tokens=7 * 4 * 64)

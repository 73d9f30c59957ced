"""Configurations: the same in files, flags and JSON, and checked to the last key."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.config import Experiment, expected, read, require_key, template

NUMBERS = st.floats(min_value=1e-6, max_value=1e6)
RECIPES = ("standard", "mup+sqrt", "mup+constant", "mup_table3/none", "mean_field+0.5")


IMAGES = {"model": {"kind": "resnet"}, "data": {"kind": "images"}}


def through_json(experiment):
    return read(json.loads(json.dumps(dataclasses.asdict(experiment))))


def test_the_template_is_the_default_experiment():
    assert read(template()) == Experiment()


def test_nothing_given_is_the_default_experiment():
    assert read({}) == Experiment()


@settings(max_examples=30, deadline=None)
@given(
    content=st.fixed_dictionaries(
        {},
        optional={
            "name": st.text(),
            "base_width": st.integers(1, 8).map(lambda n: 16 * n),
            "seed": st.integers(0, 2**31),
            "model": st.fixed_dictionaries(
                {},
                optional={
                    "layers": st.integers(1, 100),
                    "tied": st.booleans(),
                    "dtype": st.sampled_from(("bfloat16", "float32")),
                },
            ),
            "recipe": st.fixed_dictionaries({"name": st.sampled_from(RECIPES)}),
            "hyperparameters": st.fixed_dictionaries(
                {"learning_rate": NUMBERS, "weight_decay": NUMBERS},
                optional={"init_scale": NUMBERS},
            ),
            "training": st.fixed_dictionaries({"clip": NUMBERS, "nesterov": st.booleans()}),
            "sweep": st.fixed_dictionaries(
                {
                    "widths": st.lists(st.sampled_from((16, 32, 64)), unique=True),
                    "recipes": st.lists(st.sampled_from(RECIPES), unique=True),
                    "space": st.fixed_dictionaries({"learning_rate": st.lists(NUMBERS)}),
                }
            ),
        },
    )
)
def test_an_experiment_survives_json(content):
    experiment = read(content)
    assert through_json(experiment) == experiment
    for section, values in content.items():
        read_back = dataclasses.asdict(experiment)[section]
        if isinstance(values, dict) and section != "sweep":
            assert {name: read_back[name] for name in values} == values
        elif section != "sweep":
            assert read_back == values
    assert list(experiment.sweep.widths) == content.get("sweep", {}).get("widths", [])


def test_a_config_file_and_its_json_are_the_same_experiment():
    config = template()
    config.model.width = 512
    config.sweep.widths = (32, 64)
    config.sweep.space.learning_rate = (0.01, 0.1)
    experiment = read(config)
    assert experiment.model.width == 512
    assert experiment.sweep.space.learning_rate == (0.01, 0.1)
    assert through_json(experiment) == experiment


@pytest.mark.parametrize("model", ["resnet", "cnn"])
def test_the_kind_of_a_section_chooses_its_keys(model):
    config = template(model, "images")
    assert {"classes", "image_channels"} <= set(config.model)
    config.data.crop_padding = 2
    experiment = read(config)
    assert (experiment.model.kind, experiment.data.crop_padding) == (model, 2)
    assert through_json(experiment) == experiment
    assert "vocabulary" in template().model


@pytest.mark.parametrize("key", ["model.stages", "model.vocabulary", "data.flip", "model.kind"])
def test_a_key_of_any_kind_is_one(key):
    require_key(key)


def test_reading_does_not_change_what_is_read():
    config = template()
    before = config.to_dict()
    read(config)
    assert config.to_dict() == before


def test_a_whole_number_is_a_number():
    clip = read({"training": {"clip": 2}}).training.clip
    assert (clip, type(clip)) == (2.0, float)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"seed": "one"}, ("config.seed", "'one'")),
        ({"seed": 1.0}, ("config.seed", 1.0)),
        ({"seed": True}, ("config.seed", True)),
        ({"seed": None}, ("config.seed", None)),
        ({"name": 3}, ("config.name", 3)),
        ({"model": {"tied": 1}}, ("config.model.tied", 1)),
        ({"training": {"clip": "1"}}, ("config.training.clip", "'1'")),
        ({"training": {"clip": True}}, ("config.training.clip", True)),
        ({"model": 3}, ("config.model", 3)),
        ({"sweep": {"widths": 8}}, ("config.sweep.widths", 8)),
        ({"sweep": {"recipes": "mup"}}, ("config.sweep.recipes", "'mup'")),
        ({"sweep": {"widths": [16, "a"]}}, ("config.sweep.widths[1]", "'a'")),
        (
            {"sweep": {"space": {"learning_rate": [0.1, False]}}},
            ("config.sweep.space.learning_rate[1]", False),
        ),
        ([], ("config", [])),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_path(content, names):
    with refused(*names):
        read(content)


@pytest.mark.parametrize(
    ("content", "key", "suggestion"),
    [
        ({"bas_width": 1}, "config.bas_width", "base_width"),
        (
            {"sweep": {"space": {"learning_rat": ()}}},
            "config.sweep.space.learning_rat",
            "learning_rate",
        ),
        ({"data": {"tokeniser": ""}}, "config.data.tokeniser", "tokenizer"),
    ],
)
def test_an_unknown_key_names_the_nearest(content, key, suggestion):
    with refused(key, suggestion):
        read(content)


def test_a_refused_setting_says_why():
    with refused("model.kv_heads"):
        read({"model": {"kv_heads": 2}})
    with refused("model.rematerialise", "remat"):
        read({"model": {"rematerialise": "full"}})


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"base_width": 0}, ("base_width", 0)),
        ({"base_width": 24}, (24,)),
        ({"sweep": {"widths": [16, 40]}}, (40,)),
        ({"recipe": {"name": "mupp"}}, ("mupp",)),
        ({"recipe": {"clipping": "often"}}, ("clipping", "often")),
        ({"sweep": {"recipes": ["mup", "mup+sqrt"]}}, ("mup+sqrt",)),
        ({"sweep": {"search": "grit"}}, ("sweep.search", "grit", "grid")),
        ({"sweep": {"bracket": 4}}, ("sweep.bracket", 4)),
        ({"sweep": {"objective": "los"}}, ("sweep.objective", "los", "loss")),
        ({"model": {"kind": "resnt"}}, ("model.kind", "resnt", "resnet")),
        ({"data": {"kind": 3}}, ("data.kind", 3)),
        ({"model": {"kind": "cnn"}}, ("cnn", "data.kind", "text")),
        ({"data": {"kind": "images"}}, ("transformer", "data.kind", "images")),
        ({**IMAGES, "model": {"kind": "cnn", "stages": [1]}}, ("config.model.stages",)),
        ({**IMAGES, "data": {"kind": "images", "tokenizer": ""}}, ("data.tokenizer",)),
        ({"sweep": {"space": {"init_scale": [0.0]}}}, ("init_scale",)),
        ({"sweep": {"space": {"weight_decay": [-0.1]}}}, ("weight_decay",)),
        (
            {"sweep": {"search": "random", "space": {"learning_rate": [0.1]}}},
            (),
        ),
        (
            {"sweep": {"search": "random", "space": {"learning_rate": [0.1, 0.01]}}},
            (),
        ),
        (
            {"sweep": {"search": "random", "space": {"weight_decay": [0.0, 0.1]}}},
            ("weight_decay",),
        ),
        ({"sweep": {"seeds": [0, -1]}}, (-1,)),
        ({"seed": 2**32}, (2**32,)),
        ({"hyperparameters": {"learning_rate": float("nan")}}, ("learning_rate", "nan")),
        (
            {"hyperparameters": {"learning_rate": 0.1, "readout_output": float("inf")}},
            ("readout_output", "inf"),
        ),
        ({"hyperparameters": {"weight_decay": 0.1}}, ("hyperparameters.learning_rate",)),
        (
            {"hyperparameters": {"learning_rate": 0.0}},
            ("learning_rate", 0.0),
        ),
        (
            {"hyperparameters": {"learning_rate": 0.1, "weight_decay": -1}},
            ("weight_decay", -1.0),
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(content, names):
    with refused(*names):
        read(content)


def test_no_decay_is_a_decay_to_search():
    space = read({"sweep": {"space": {"weight_decay": [0.0, 0.1]}}}).sweep.space
    assert space.weight_decay == (0.0, 0.1)


def test_the_model_at_another_width_differs_in_width_alone():
    experiment = read({"model": {"width": 64, "layers": 2}})
    assert experiment.at(256) == dataclasses.replace(experiment.model, width=256)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("seed", "a whole number"),
        ("training.clip", "a number"),
        ("model.tied", "True or False"),
        ("data.name", "text"),
        ("sweep.widths", "a list of whole numbers"),
        ("sweep.space.init_scale", "a list of numbers"),
        ("sweep.recipes", "a list of names"),
        ("sweep.space", "a section with keys of its own"),
    ],
)
def test_every_setting_can_say_what_it_takes(key, words):
    require_key(key)
    assert expected(key) == words


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("sead", ("seed",)),
        ("model.widht", ("width",)),
        ("seed.more", ("config.seed", "config.seed.more")),
        ("sweep.widths.0", ("config.sweep.widths",)),
    ],
)
def test_a_key_that_does_not_exist_is_refused(key, names):
    with refused(*names):
        require_key(key)

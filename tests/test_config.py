"""Configurations: the same in files, flags and JSON, and checked to the last key."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.config import Experiment, expected, read, require_key, template
from transfer.errors import TransferError

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
    ("content", "message"),
    [
        ({"seed": "one"}, "config.seed is 'one'; expected a whole number."),
        ({"seed": 1.0}, "config.seed is 1.0; expected a whole number."),
        ({"seed": True}, "config.seed is True; expected a whole number."),
        ({"seed": None}, "config.seed is None; expected a whole number."),
        ({"name": 3}, "config.name is 3; expected text."),
        ({"model": {"tied": 1}}, "config.model.tied is 1; expected True or False."),
        ({"training": {"clip": "1"}}, "config.training.clip is '1'; expected a number."),
        ({"training": {"clip": True}}, "config.training.clip is True; expected a number."),
        ({"model": 3}, "config.model is 3; expected a section with keys of its own."),
        ({"sweep": {"widths": 8}}, "config.sweep.widths is 8; expected a list."),
        ({"sweep": {"recipes": "mup"}}, "config.sweep.recipes is 'mup'; expected a list."),
        ({"sweep": {"widths": [16, "a"]}}, "config.sweep.widths[1] is 'a'; expected a whole"),
        (
            {"sweep": {"space": {"learning_rate": [0.1, False]}}},
            "config.sweep.space.learning_rate[1] is False; expected a number.",
        ),
        ([], "config is []; expected a section with keys of its own."),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_path(content, message):
    with pytest.raises(TransferError) as refusal:
        read(content)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "key", "suggestion"),
    [
        ({"bas_width": 1}, "config.bas_width", "base_width"),
        ({"sweep": {"space": {"learning_rat": ()}}}, "config.sweep.space.learning_rat", "learning"),
        ({"data": {"tokeniser": ""}}, "config.data.tokeniser", "tokenizer"),
    ],
)
def test_an_unknown_key_names_the_nearest(content, key, suggestion):
    with pytest.raises(TransferError, match=f'{key} is unknown; .*did you mean "{suggestion}'):
        read(content)


def test_a_refused_setting_says_why():
    with pytest.raises(TransferError, match=r"model\.kv_heads is not a setting: .*no hidden rule"):
        read({"model": {"kv_heads": 2}})
    with pytest.raises(TransferError, match=r"model\.rematerialise .* it is called remat"):
        read({"model": {"rematerialise": "full"}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"base_width": 0}, "base_width is 0"),
        ({"base_width": 24}, "does not divide the width 24"),
        ({"sweep": {"widths": [16, 40]}}, "does not divide the width 40"),
        ({"recipe": {"name": "mupp"}}, '"mupp" is unknown'),
        ({"recipe": {"clipping": "often"}}, 'clipping "often"'),
        ({"sweep": {"recipes": ["mup", "mup+sqrt"]}}, "expected none twice"),
        ({"sweep": {"search": "grit"}}, 'sweep.search "grit" .*did you mean "grid"'),
        ({"sweep": {"bracket": 4}}, "sweep.bracket is 4; expected an odd number"),
        ({"sweep": {"objective": "los"}}, 'sweep.objective "los" .*did you mean "loss"'),
        ({"model": {"kind": "resnt"}}, 'model.kind is "resnt"; .*did you mean "resnet"'),
        ({"data": {"kind": 3}}, 'data.kind is "3"; expected text or images'),
        ({"model": {"kind": "cnn"}}, "A cnn reads images but data.kind is text"),
        ({"data": {"kind": "images"}}, "A transformer reads text but data.kind is images"),
        ({**IMAGES, "model": {"kind": "cnn", "stages": [1]}}, r"config\.model\.stages is unknown"),
        ({**IMAGES, "data": {"kind": "images", "tokenizer": ""}}, r"data\.tokenizer is unknown"),
        ({"sweep": {"space": {"init_scale": [0.0]}}}, "init_scale is .*expected positive"),
        ({"sweep": {"space": {"weight_decay": [-0.1]}}}, "weight_decay is .*expected positive"),
        (
            {"sweep": {"search": "random", "space": {"learning_rate": [0.1]}}},
            r"expected \(low, high\)",
        ),
        (
            {"sweep": {"search": "random", "space": {"learning_rate": [0.1, 0.01]}}},
            r"expected \(low, high\)",
        ),
        (
            {"sweep": {"search": "random", "space": {"weight_decay": [0.0, 0.1]}}},
            "weight_decay is .*expected positive",
        ),
        ({"sweep": {"seeds": [0, -1]}}, "The seed -1 does not fit"),
        ({"seed": 2**32}, "The seed 4294967296 does not fit"),
        ({"hyperparameters": {"learning_rate": float("nan")}}, "learning_rate is nan"),
        (
            {"hyperparameters": {"learning_rate": 0.1, "readout_output": float("inf")}},
            "readout_output is inf",
        ),
        ({"hyperparameters": {"weight_decay": 0.1}}, r"hyperparameters\.learning_rate is missing"),
        (
            {"hyperparameters": {"learning_rate": 0.0}},
            "learning_rate is 0.0; expected a finite number",
        ),
        (
            {"hyperparameters": {"learning_rate": 0.1, "weight_decay": -1}},
            "weight_decay is -1.0; expected",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(content, message):
    with pytest.raises(TransferError, match=message):
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
    ("key", "message"),
    [
        ("sead", 'did you mean "seed"'),
        ("model.widht", 'did you mean "width"'),
        ("seed.more", "config.seed has no keys of its own, but config.seed.more was given"),
        ("sweep.widths.0", "config.sweep.widths has no keys of its own"),
    ],
)
def test_a_key_that_does_not_exist_is_refused(key, message):
    with pytest.raises(TransferError, match=message):
        require_key(key)

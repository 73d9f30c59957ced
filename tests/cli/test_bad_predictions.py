"""A prediction that cannot be made or used is refused as every bad input is."""

import dataclasses
import json
import pathlib

import pytest

from transfer.analysis import Prediction
from transfer.run_directory import RunDirectory


@pytest.fixture
def ruled(run):
    """The same sweep with rules for depth and horizon, which at its own change nothing."""
    content = json.loads((run / "config.json").read_text())
    content["experiment"]["recipe"] |= {"depth": "completep", "horizon": "sde"}
    (run / "config.json").write_text(json.dumps(content))
    return run


@pytest.mark.parametrize("width", [8, 12, 16])
def test_a_target_that_is_not_wider_than_the_proxies(refused, run, width):
    refused("predict", "--run=swept", f"--width={width}", names=(width, 8, 16))


def test_a_target_is_needed(refused, run):
    refused("predict", "--run=swept", names=("--width=WIDTH",))


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("--layers=0", ("--layers", 0)),
        ("--layers=2", (2, 1, "recipe.depth")),
        ("--batch_size=8", (768, 8, "recipe.horizon")),
        ("--tokens=1536", (1536, 4, "recipe.horizon")),
    ],
)
def test_a_move_without_a_rule_is_refused(refused, run, flag, names):
    refused("predict", "--run=swept", "--width=32", flag, names=names)


def test_a_target_batch_that_no_beta_follows_is_refused(refused, ruled):
    refused("predict", "--run=swept", "--batch_size=48", names=(0.9,))


def test_a_sweep_whose_length_follows_its_size_says_so(refused, ruled):
    content = json.loads((ruled / "config.json").read_text())
    content["experiment"]["training"]["tokens_per_parameter"] = 0.1
    (ruled / "config.json").write_text(json.dumps(content))
    refused("predict", "--run=swept", "--batch_size=8", names=("--tokens=TOKENS", "--batch_size"))


def test_one_of_several_recipes_has_to_be_named(refused, run):
    directory = RunDirectory(run)
    others = [
        dataclasses.replace(trial, recipe="standard", trial=f"standard {trial.trial}")
        for trial in directory.trials()
    ]
    directory.add_group("standard", others, [], [])
    refused("predict", "--run=swept", "--width=32", names=("mup+sqrt, standard", "--recipe"))
    refused(
        "predict",
        "--run=swept",
        "--width=32",
        "--recipe=standrd",
        names=("standrd", "mup+sqrt, standard"),
    )


@pytest.fixture
def prediction(workplace):
    return Prediction(
        recipe="mup+sqrt",
        target_width=32,
        base_width=8,
        proxy_widths=(8, 16),
        learning_rate=0.01,
        log2_learning_rate=-6.6,
        log2_learning_rate_interval=None,
        weight_decay=0.1,
        log2_weight_decay_interval=None,
        multipliers={},
        notes=(),
    ).to_json()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"base_width": 16}, (16, 8)),
        ({"learning_rate": "fast"}, ("hyperparameters.learning_rate", "fast")),
        ({"learning_rate": -1.0}, ("learning_rate", -1.0)),
        ({"multipliers": 3}, ("file.json",)),
        ({"multipliers": {"red": 1.0}}, ("file.json",)),
        ({"target_width": 33}, (33,)),
        ({"base_layers": 2}, (2, 1)),
        ({"base_batch_size": 8}, (8, 4)),
        ({"base_tokens": 99}, (99, 768)),
        (
            {"target_layers": "two", "base_layers": 1},
            ("config.model.layers", "two"),
        ),
        ({"extrapolation": [3]}, ("file.json",)),
        ({"moves": []}, ()),
        ({"recipe": "mupp"}, ("mupp",)),
        ({"more": 1}, ("file.json",)),
    ],
)
def test_hyperparameters_that_do_not_fit(refused, workplace, prediction, change, names):
    (workplace / "file.json").write_text(json.dumps(prediction | change))
    train = ("train", "--config=tiny.py", "--run=new", "--hyperparameters=file.json")
    refused(*train, names=names)


TRAIN = ("train", "--config=tiny.py", "--run=new")


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("training.optimizer=lion", ("training.optimizer", "lion", "adamw")),
        ("model.layers=3", (3, 1, "recipe.depth")),
        ("data.batch_size=8", (8, 4, "recipe.horizon")),
        ("training.steps=24", (24 * 64, 12 * 64, "recipe.horizon")),
        ("data.train_split=test", ("data.train_split", "test", "train")),
    ],
)
def test_a_configuration_that_was_not_tuned_is_refused(refused, predicted, flag, names):
    tuned = f"--hyperparameters={predicted}"
    refused(*TRAIN, tuned, f"--config.{flag}", names=(*names, "--allow_mismatch"))


def test_data_of_another_content_are_refused(refused, workplace, predicted):
    content = json.loads(pathlib.Path(predicted).read_text())
    content["tuned_for"]["data_fingerprint"] = "0123456789abcdef" * 4
    (workplace / "other.json").write_text(json.dumps(content))
    refused(*TRAIN, "--hyperparameters=other.json", names=("other.json", "0123456789ab"))


@pytest.mark.parametrize(
    "change",
    [
        {"tuned_for": 3},
        {"tuned_for": {"experiment": []}},
        {"at_target": {"rows": 3}},
        {"at_target": [1]},
    ],
)
def test_parts_that_are_none(refused, workplace, prediction, change):
    (workplace / "file.json").write_text(json.dumps(prediction | change))
    refused(*TRAIN, "--hyperparameters=file.json")


@pytest.mark.parametrize("content", ["", "{}", "[]", "3", "not JSON"])
def test_a_file_that_is_no_prediction(refused, workplace, content):
    (workplace / "file.json").write_text(content)
    train = ("train", "--config=tiny.py", "--run=new", "--hyperparameters=file.json")
    refused(*train, names=("file.json",))


@pytest.mark.parametrize("place", ["missing.json", "."])
def test_hyperparameters_that_are_not_there(refused, place):
    train = ("train", "--config=tiny.py", "--run=new", f"--hyperparameters={place}")
    refused(*train, names=(place,))

"""A prediction that cannot be made or used is refused as every bad input is."""

import dataclasses
import json
import re

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
    error = refused("predict", "--run=swept", f"--width={width}")
    assert f"target width {width} is not wider than its proxies (8, 16); ask for a larger" in error


def test_a_target_is_needed(refused, run):
    assert "expected --width=WIDTH" in refused("predict", "--run=swept")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--layers=0", "--layers is 0; expected a whole number of at least 1"),
        ("--layers=2", "has 2 layers and the sweep 1, .*expected a sweep with recipe.depth = comp"),
        ("--batch_size=8", "768 tokens in batches of 8 .* expected a sweep with recipe.horizon"),
        ("--tokens=1536", "1536 tokens in batches of 4 .* expected a sweep with recipe.horizon"),
    ],
)
def test_a_move_without_a_rule_is_refused(refused, run, flag, message):
    assert re.search(message, refused("predict", "--run=swept", "--width=32", flag))


def test_a_target_batch_that_no_beta_follows_is_refused(refused, ruled):
    error = refused("predict", "--run=swept", "--batch_size=48")
    assert "A beta of 0.9 would have to average over less than a step" in error


def test_a_sweep_whose_length_follows_its_size_says_so(refused, ruled):
    content = json.loads((ruled / "config.json").read_text())
    content["experiment"]["training"]["tokens_per_parameter"] = 0.1
    (ruled / "config.json").write_text(json.dumps(content))
    error = refused("predict", "--run=swept", "--batch_size=8")
    assert "expected --tokens=TOKENS beside --batch_size" in error


def test_one_of_several_recipes_has_to_be_named(refused, run):
    directory = RunDirectory(run)
    others = [
        dataclasses.replace(trial, recipe="standard", trial=f"standard {trial.trial}")
        for trial in directory.trials()
    ]
    directory.add_group("standard", others, [], [])
    error = refused("predict", "--run=swept", "--width=32")
    assert "has the recipes mup+sqrt, standard; expected one of them in --recipe" in error
    error = refused("predict", "--run=swept", "--width=32", "--recipe=standrd")
    assert "no finished sweep trials of standrd; there are of mup+sqrt, standard" in error
    assert 'did you mean "standard"?' in error


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
    ("change", "message"),
    [
        ({"base_width": 16}, "meant at base width 16 but the configuration has 8"),
        ({"learning_rate": "fast"}, "hyperparameters.learning_rate is 'fast'; expected a number"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0;.*expected a finite number above 0"),
        ({"multipliers": 3}, "cannot be read .* expected what transfer predict wrote"),
        ({"multipliers": {"red": 1.0}}, "cannot be read .* expected what transfer predict wrote"),
        ({"target_width": 33}, "does not divide the width 33"),
        ({"base_layers": 2}, "meant at base depth 2 but the configuration has 1"),
        ({"base_batch_size": 8}, "meant at base batch size 8 but the configuration has 4"),
        ({"base_tokens": 99}, "meant at base number of tokens 99 but the configuration has 768"),
        (
            {"target_layers": "two", "base_layers": 1},
            "config.model.layers is 'two'; expected a whole number",
        ),
        ({"extrapolation": [3]}, "cannot be read .* expected what transfer predict wrote"),
        ({"moves": []}, "of an earlier version, whose moves are now called extrapolation"),
        ({"recipe": "mupp"}, 'parametrization "mupp" is unknown'),
        ({"more": 1}, "file.json cannot be read .*more is missing or unknown"),
    ],
)
def test_hyperparameters_that_do_not_fit(refused, workplace, prediction, change, message):
    (workplace / "file.json").write_text(json.dumps(prediction | change))
    train = ("train", "--config=tiny.py", "--run=new", "--hyperparameters=file.json")
    assert re.search(message, refused(*train))


@pytest.mark.parametrize("content", ["", "{}", "[]", "3", "not JSON"])
def test_a_file_that_is_no_prediction(refused, workplace, content):
    (workplace / "file.json").write_text(content)
    train = ("train", "--config=tiny.py", "--run=new", "--hyperparameters=file.json")
    assert "file.json cannot be read" in refused(*train)


@pytest.mark.parametrize("place", ["missing.json", "."])
def test_hyperparameters_that_are_not_there(refused, place):
    train = ("train", "--config=tiny.py", "--run=new", f"--hyperparameters={place}")
    assert f"The hyperparameters {place} cannot be read" in refused(*train)

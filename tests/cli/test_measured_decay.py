"""Decay by measured exponents, from a sweep's spectrum to the training of the target."""

import dataclasses
import json
import re

import pytest

from transfer.config import read
from transfer.run_directory import RunDirectory

from .terminal import transfer

WIDTHS = (8, 16, 24)
PREDICT = ("predict", "--run=swept", "--width=32", "--decay=measured")


def p_of(path):
    """What the planted singular values tell: matrices that read the stream, and that write it."""
    return 1.0 if path.endswith(("out.kernel", "down.kernel")) else 0.6


@pytest.fixture
def settled(run):
    """The sweep at three widths whose runs have settled, with singular values of known p."""
    content = json.loads((run / "config.json").read_text())
    content["experiment"]["sweep"]["widths"] = list(WIDTHS)
    (run / "config.json").write_text(json.dumps(content))
    directory = RunDirectory(run)
    recorded = directory.spectrum().to_pylist()
    paths = sorted({row["parameter"] for row in recorded})
    proxies = [
        dataclasses.replace(
            trial, width=width, seed=seed, decay_times=4.0, trial=f"{trial.trial} {width} {seed}"
        )
        for trial in directory.trials()
        if trial.width == 8
        for width in WIDTHS
        for seed in (0, 1)
    ]
    rows = [
        {
            "trial": trial.trial,
            "step": trial.steps,
            "parameter": path,
            "layer": 0,
            "rank": 0,
            "singular_value": 2.0 * (trial.width / 8) ** (p_of(path) - 0.75),
        }
        for trial in proxies
        for path in paths
    ]
    (run / "trials.parquet").unlink()
    for file in (run / "spectrum").iterdir():
        file.unlink()
    directory.add_group("planted", proxies, [], rows)
    return run


def test_the_loop_from_proxies_to_a_target_trained_with_an_exponent_for_each_matrix(
    settled, capsys
):
    assert transfer(*PREDICT) == 0
    output = capsys.readouterr().out
    assert output.startswith("At width 32 use learning rate ")
    assert " under mup+measured.\n" in output
    assert "measured at widths 8, 16 and verified at 24" in output
    assert "closer to level than one for all" in output
    # sqrt(3) from the base width to 24, and 4/3 from there to 32, since p = 1.
    assert re.search(r" 0\.2309 [^\n]*\n  blocks\.attention\.out\.kernel\n", output)
    content = json.loads((settled / "hyperparameters.json").read_text())
    assert content["recipe"] == "mup+measured"
    calibration = content["calibration"]
    exponents = dict(zip(calibration["paths"], calibration["exponents"], strict=True))
    assert exponents == pytest.approx({path: 2 * p_of(path) - 1 for path in exponents})
    assert (calibration["swept"], calibration["widest"]) == (0.5, 3.0)

    file = f"--hyperparameters={settled}/hyperparameters.json"
    assert transfer("train", "--config=tiny.py", "--run=target", file) == 0
    experiment = read(json.loads((settled.parent / "target/config.json").read_text())["experiment"])
    recipe, layout = experiment.recipe.build(), experiment.layout(32).parameters
    assert str(recipe) == "mup+measured"
    for path, exponent in exponents.items():
        # As swept up to three times the base width, and from there on as measured.
        expected = 3**0.5 * (4 / 3) ** exponent
        assert recipe.rule(layout[path]).weight_decay == pytest.approx(expected)
    target = RunDirectory(settled.parent / "target")
    (trial,) = target.trials()
    assert (trial.recipe, trial.decay_rule, trial.status) == (
        "mup+measured",
        "measured",
        "completed",
    )
    # A run has settled when the slowest of its matrices has.
    rules = [recipe.rule(layout[path]) for path in exponents]
    slowest = min(rule.learning_rate * rule.weight_decay for rule in rules)
    assert slowest < max(rule.learning_rate * rule.weight_decay for rule in rules)
    rates = sum(target.metrics()["learning_rate"].to_pylist())
    assert trial.decay_times == pytest.approx(rates * trial.weight_decay * slowest)


def test_the_report_of_a_sweep_under_measured_exponents_predicts_that_they_are_level(
    settled, capsys
):
    directory = RunDirectory(settled)
    measured = [
        dataclasses.replace(trial, recipe="mup+measured", decay_rule="measured")
        for trial in directory.trials()
    ]
    directory.add_group("measured", measured, [], [])
    assert transfer("spectrum", "--run=swept") == 0
    output = capsys.readouterr().out
    assert "mup+measured: slope of sigma_1 predicted +0.00" in output
    assert "2p - 1" in output


def test_singular_values_at_two_widths_are_too_few(refused, run):
    refused(*PREDICT, names=(2, 8, 16))


def test_proxies_that_have_not_settled_are_refused(refused, settled):
    directory = RunDirectory(settled)
    short = [dataclasses.replace(trial, decay_times=1.2) for trial in directory.trials()]
    directory.add_group("planted", short, [], directory.spectrum().to_pylist())
    refused(*PREDICT, names=(8, 1.2))


def test_another_decay_is_no_choice_of_a_prediction(refused, run):
    refused(
        "predict",
        "--run=swept",
        "--width=32",
        "--decay=sqrt",
        names=("--decay", "sqrt", "measured"),
    )


def test_an_optimizer_without_an_exponent_is_refused(refused, settled):
    content = json.loads((settled / "config.json").read_text())
    content["experiment"]["training"]["optimizer"] = "sgd"
    (settled / "config.json").write_text(json.dumps(content))
    refused(*PREDICT)


@pytest.mark.parametrize("verb", ["sweep", "train", "explain", "check"])
@pytest.mark.parametrize(
    "setting",
    ["--config.recipe.name=mup+measured", "--config.sweep.recipes=('mup+measured','mup')"],
)
def test_without_a_calibration_the_recipe_says_how_to_come_by_one(refused, verb, setting):
    run = () if verb == "explain" else ("--run=new",)
    refused(verb, "--config=tiny.py", setting, *run, names=("transfer predict --decay=measured",))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"calibration": 3}, ()),
        ({"calibration": {"path": []}}, ()),
        ({"calibration": {"paths": ["a"], "exponents": []}}, (0, 1)),
        ({"calibration": None}, ()),
        ({"calibration": {"paths": ["a"], "exponents": [0.5]}}, ("a",)),
    ],
)
def test_a_calibration_that_does_not_fit(refused, settled, capsys, change, names):
    assert transfer(*PREDICT) == 0
    capsys.readouterr()
    file = settled / "hyperparameters.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    train = (
        "train",
        "--config=tiny.py",
        "--run=new",
        "--hyperparameters=swept/hyperparameters.json",
    )
    refused(*train, names=names)

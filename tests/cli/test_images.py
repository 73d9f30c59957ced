"""Every verb on a residual network for images, as on a transformer for text."""

import json
import math

import pytest
from refusals import require_complaint

from transfer.run_directory import RunDirectory

from .terminal import transfer

CONFIG = """
from transfer.config import template

def get_config():
    config = template("resnet", "images")
    config.name = "small"
    config.base_width = 4
    config.model.width = 16
    config.model.stages = (1,)
    config.model.image_channels = 1
    config.model.dtype = "float32"
    config.recipe.name = "mup"
    config.data.batch_size = 8
    config.data.eval_images = 64
    config.data.crop_padding = 1
    config.training.steps = 120
    config.training.warmup = 2
    config.training.optimizer = "sgd"
    config.sweep.widths = (4, 8)
    config.sweep.recipes = ("mup",)
    config.sweep.seeds = (0, 1)
    config.sweep.objective = "loss"
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-5, 3, 2))
    return config
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    (folder / "small.py").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def config(home):
    return f"--config={home}/small.py"


@pytest.fixture(scope="module")
def swept(home, config):
    assert transfer("sweep", config, f"--run={home}/swept") == 0
    return home / "swept"


def test_a_sweep_compares_by_the_training_loss_and_keeps_the_held_out_accuracy(swept):
    trials = RunDirectory(swept).trials()
    assert len(trials) == 2 * 4 * 2
    assert {trial.objective_value for trial in trials} == {trial.loss for trial in trials}
    assert all(0 <= trial.eval_accuracy <= 1 for trial in trials)
    # Of ten classes chance names a tenth, of 64 images within .11 by three standard deviations.
    best = min(trials, key=lambda trial: trial.loss)
    assert best.eval_accuracy > 0.22
    assert best.loss < math.log(10)
    # 120 batches of 8 images.
    assert {trial.tokens for trial in trials} == {960}


def test_its_report_speaks_of_images(swept):
    assert transfer("report", f"--run={swept}") == 0
    verdict = json.loads((swept / "report/verdict.json").read_text())
    assert verdict["objective"]["name"] == "training loss over the last tenth"
    assert verdict["task"] == (
        "small: classes of images on digits in batches of 8, post-activation residual stages of 1 "
        "basic blocks with batch norm"
    )
    page = (swept / "report/report.html").read_text()
    assert "classes of images on digits" in page
    assert "training loss over the last tenth" in page.lower()
    kinds = verdict["recipes"]["mup+sqrt"]["spectrum_slope"]
    assert set(kinds) == {"convolutions.0", "convolutions.1"}


def test_its_spectrum_has_a_row_for_every_hidden_convolution(swept, capsys):
    assert transfer("spectrum", f"--run={swept}") == 0
    output = capsys.readouterr().out
    assert "convolutions.0" in output
    assert "convolutions.1" in output


def test_a_prediction_is_trained_and_reports_its_accuracy(swept, home, config, capsys):
    assert transfer("predict", f"--run={swept}", "--width=16") == 0
    predicted = f"--hyperparameters={swept}/hyperparameters.json"
    assert transfer("train", config, predicted, f"--run={home}/trained") == 0
    (trial,) = RunDirectory(home / "trained").trials()
    assert (trial.width, trial.origin, trial.status) == (16, "predicted", "completed")
    assert f"accuracy {trial.eval_accuracy:.1%}" in capsys.readouterr().out


def test_another_batch_size_moves_as_for_text(swept, capsys):
    assert transfer("predict", f"--run={swept}", "--width=16", "--batch_size=16") == 1
    require_complaint(capsys.readouterr().err, "recipe.horizon", 16, 8)
    assert transfer("predict", f"--run={swept}", "--width=16", "--layers=2") == 1
    require_complaint(capsys.readouterr().err, "recipe.depth", 2)


@pytest.mark.full
def test_its_coordinates_are_checked_on_random_images(home, config, capsys):
    arguments = (config, f"--run={home}/checked", "--widths=32,128", "--seeds=6", "--steps=1")
    status = transfer("check", *arguments)
    output = capsys.readouterr().out
    assert "mup+sqrt from random init, widths 32, 128" in output
    assert "stem" in output
    assert status == (0 if "Every slope agrees" in output else 1)
    content = json.loads((home / "checked/report/coordinates.json").read_text())
    for check in content.values():
        updates = [row for row in check["rows"] if row["quantity"] == "update"]
        assert {row["verdict"] for row in updates} <= {"agrees", "not judged"}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("sweep", "--config.model.image_channels=3"), (3, "--config.model.image_channels=1")),
        (("train", "--config.model.classes=9"), (9, "--config.model.classes=10")),
        (("sweep", "--config.data.tokenizer=bytes"), ("data.tokenizer",)),
        (("tokenizer", "--output=a.json"), ("digits",)),
    ],
)
def test_what_does_not_fit_is_one_sentence(home, config, capsys, arguments, names):
    verb, *rest = arguments
    run = () if verb == "tokenizer" else (f"--run={home}/refused",)
    assert transfer(verb, config, *rest, *run) != 0
    require_complaint(capsys.readouterr().err, *names)
    assert not (home / "refused").exists()


def test_there_is_no_published_layout_to_export_to(home, swept, config, capsys):
    assert transfer("export", f"--run={swept}", f"--output={home}/exported") == 1
    require_complaint(capsys.readouterr().err, "resnet")

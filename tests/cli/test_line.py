"""From a sweep to exported weights, each verb on what the one before it wrote."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
from refusals import require_complaint
from safetensors.numpy import load_file

from transfer.cli.console import SweepProgress
from transfer.cli.train import with_hyperparameters
from transfer.config import read
from transfer.run_directory import RunDirectory
from transfer.scaling import Horizon

from .terminal import transfer, tree

PNG = b"\x89PNG"


def trials(run):
    return RunDirectory(run).trials()


def test_a_sweep_records_every_trial_it_declares(swept):
    found = {(trial.width, trial.learning_rate, trial.status) for trial in trials(swept)}
    rates = [2.0**k for k in range(-7, 2, 2)]
    assert found == {(width, rate, "completed") for width in (8, 16) for rate in rates}
    assert {trial.base_width for trial in trials(swept)} == {8}


def test_the_same_sweep_again_trains_nothing(swept, config, capsys, monkeypatch):
    monkeypatch.setattr("transfer.sweeps.runner.train", None)
    before = tree(swept)
    (swept / "checkpoints/width-8-01234567").mkdir()  # which nothing goes on from
    assert transfer("sweep", f"--config={config}", f"--run={swept}") == 0
    assert "10 trials are done already, 0 to go." in capsys.readouterr().out
    assert tree(swept) == before


def test_the_report_is_a_verdict_with_figures(swept, capsys):
    assert transfer("report", f"--run={swept}") == 0
    verdict = json.loads((swept / "report/verdict.json").read_text())
    assert verdict["task"].startswith("tiny: next token on synthetic (bytes), sequences of")
    assert verdict["objective"] == {"name": "held-out loss", "unit": "nats"}
    assert verdict["provenance"]["data_fingerprint"]
    assert set(verdict["recipes"]["mup+sqrt"]["optimum_log2_learning_rate"]) == {"8", "16"}
    figures = sorted((swept / "report").glob("*.png"))
    assert figures
    assert all(figure.read_bytes().startswith(PNG) for figure in figures)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert f"{swept}/report/verdict.json" in last
    assert all(figure.name in last for figure in figures)


def test_the_spectrum_has_a_row_for_every_kind_of_sublayer(swept, capsys):
    assert transfer("spectrum", f"--run={swept}") == 0
    output = capsys.readouterr().out
    for sublayer in ("query", "key", "value", "out"):
        assert f"attention.{sublayer} " in output
    for sublayer in ("gate", "up", "down"):
        assert f"feed_forward.{sublayer} " in output


def test_a_prediction_lies_in_the_run_and_names_the_next_command(swept, capsys):
    assert transfer("predict", f"--run={swept}", "--width=64", "--recipe=mup+sqrt") == 0
    output = capsys.readouterr().out
    content = json.loads((swept / "hyperparameters.json").read_text())
    assert content["target_width"] == 64
    assert content["proxy_widths"] == [8, 16]
    assert f"{content['learning_rate']:.4g}" in output
    assert f"transfer train --hyperparameters={swept}/hyperparameters.json" in output


def test_training_takes_all_of_the_prediction(trained, folder):
    (trial,) = trials(trained)
    recorded = json.loads((trained / "config.json").read_text())["experiment"]
    assert trial.origin == "predicted"
    assert (trial.width, trial.recipe, trial.status) == (32, "mup+sqrt", "completed")
    assert recorded["hyperparameters"]["learning_rate"] == trial.learning_rate
    assert recorded["model"]["width"] == 32


@pytest.fixture
def hyperparameters(folder, predicted):
    """A prediction of which every number is unlike the configuration's."""
    content = json.loads(predicted.read_text())
    content |= {"base_width": 16, "target_width": 48, "learning_rate": 0.0123, "weight_decay": 0.45}
    content["tuned_for"] = None
    content["multipliers"] |= {"readout_output": 3.0, "init_scale": 0.5}
    file = folder / "other.json"
    file.write_text(json.dumps(content))
    return file


def test_hyperparameters_overrule_the_configuration(hyperparameters):
    experiment = with_hyperparameters(read({"base_width": 16}), str(hyperparameters)).experiment
    assert experiment.model.width == 48
    tuned = experiment.hyperparameters
    assert (tuned.learning_rate, tuned.weight_decay) == (0.0123, 0.45)
    assert (tuned.readout_output, tuned.init_scale) == (3.0, 0.5)
    assert tuned.embedding_output == 1.0


RULES = ("--config.recipe.depth=completep", "--config.recipe.horizon=sde")


@pytest.fixture
def ruled(swept, tmp_path):
    """The sweep with rules for depth and horizon, which at its own change nothing."""
    run = shutil.copytree(swept, tmp_path / "ruled")
    content = json.loads((run / "config.json").read_text())
    content["experiment"]["recipe"] |= {"depth": "completep", "horizon": "sde"}
    (run / "config.json").write_text(json.dumps(content))
    return run


def test_a_prediction_moves_along_every_axis_and_is_trained(ruled, config, tmp_path, capsys):
    moved = ("--width=32", "--layers=3", "--batch_size=8", "--tokens=3072")
    assert transfer("predict", f"--run={ruled}", *moved) == 0
    output = capsys.readouterr().out
    for line in (
        "width 16 -> 32 (x 2)",
        "depth 1 -> 3 (x 3)",
        "batch 4 -> 8",
        "tokens 768 -> 3072",
    ):
        assert line in output
    file = ruled / "hyperparameters.json"
    content = json.loads(file.read_text())
    assert (content["target_layers"], content["target_tokens"]) == (3, 3072)

    run, changes = tmp_path / "target", (f"--config={config}", f"--hyperparameters={file}", *RULES)
    assert transfer("train", *changes, f"--run={run}") == 0
    experiment = read(json.loads((run / "config.json").read_text())["experiment"])
    assert (experiment.model.layers, experiment.base_layers) == (3, 1)
    assert (experiment.data.batch_size, experiment.base_batch_size) == (8, 4)
    # Twice the steps, of which the warmup is the same share.
    assert (experiment.training.steps, experiment.training.warmup) == (24, 4)
    assert experiment.group(32).horizon(experiment.recipe.build()) == Horizon(
        learning_rate=0.5**0.5, weight_decay=0.5**0.5, epsilon=2**0.5, averaging=0.5
    )
    (trial,) = trials(run)
    assert (trial.tokens, trial.status, trial.width) == (3072, "completed", 32)
    rates = RunDirectory(run).metrics()["learning_rate"].to_pylist()
    assert max(rates) == pytest.approx(content["learning_rate"] * 0.5**0.5)
    assert transfer("explain", *changes[:1], *RULES, "--config.base_tokens=384") == 0
    assert "learning rate x 0.7071, weight decay x 0.7071" in capsys.readouterr().out


def test_the_widest_proxy_is_the_target_where_only_other_axes_move(ruled):
    numbers = []
    for moved in (("--layers=3",), ("--width=16", "--layers=3")):
        assert transfer("predict", f"--run={ruled}", *moved) == 0
        numbers.append(json.loads((ruled / "hyperparameters.json").read_text()))
    assert numbers[0] == numbers[1]
    assert (numbers[0]["target_width"], numbers[0]["target_batch_size"]) == (16, None)
    assert [each["axis"] for each in numbers[0]["extrapolation"]] == ["depth"]


def test_training_again_trains_nothing(trained, config, predicted, capsys, monkeypatch):
    monkeypatch.setattr("transfer.sweeps.runner.train", None)
    before = tree(trained)
    arguments = (f"--config={config}", f"--hyperparameters={predicted}", f"--run={trained}")
    assert transfer("train", *arguments) == 0
    assert "1 trials are done already, 0 to go." in capsys.readouterr().out
    assert tree(trained) == before


def by_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def at_once():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("interrupt", "says", "rest"),
    [
        # It saves after the next step that it tells of.
        (by_ctrl_c, (10, 12), [1]),
        # As by a second Ctrl-C; the last checkpoint is that of step 6.
        (at_once, (), [8 / 12, 10 / 12, 1]),
    ],
)
def test_an_interrupted_training_goes_on_and_ends_the_same(
    interrupt, says, rest, trained, config, predicted, tmp_path, capsys, monkeypatch
):
    fractions = []

    def step(self, group, fraction, loss):
        fractions.append(fraction)
        if len(fractions) == 4:
            interrupt()

    run = tmp_path / "interrupted"
    arguments = ("train", f"--config={config}", f"--hyperparameters={predicted}", f"--run={run}")
    with monkeypatch.context() as patch:
        patch.setattr(SweepProgress, "step", step)
        assert transfer(*arguments) == 130
    require_complaint(capsys.readouterr().err, *says)
    assert trials(run) == []
    assert not (run / ".lock").exists()

    fractions.clear()
    with monkeypatch.context() as patch:
        patch.setattr(
            SweepProgress, "step", lambda self, _, fraction, loss: fractions.append(fraction)
        )
        assert transfer(*arguments) == 0
    assert fractions == rest
    (resumed,), (straight,) = trials(run), trials(trained)
    assert (resumed.loss, resumed.eval_loss) == (straight.loss, straight.eval_loss)
    assert RunDirectory(run).metrics() == RunDirectory(trained).metrics()


def test_exported_weights_load_without_this_library(trained, tmp_path, capsys):
    output = tmp_path / "weights"
    assert transfer("export", f"--run={trained}", f"--output={output}") == 0
    assert str(output) in capsys.readouterr().out
    description = json.loads((output / "config.json").read_text())
    tensors = load_file(output / "model.safetensors")
    assert (description["hidden_size"], description["vocab_size"]) == (32, 256)
    assert tensors["model.embed_tokens.weight"].shape == (256, 32)
    assert tensors["model.layers.0.self_attn.q_proj.weight"].shape == (32, 32)
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def test_an_allowed_mismatch_is_told_and_trained_as_configured(config, predicted, tmp_path, capsys):
    flags = ("--allow_mismatch", "--config.training.optimizer=lion")
    run = (f"--config={config}", f"--hyperparameters={predicted}", f"--run={tmp_path}/run")
    assert transfer("train", *run, *flags) == 0
    assert "training.optimizer is lion but was adamw." in capsys.readouterr().out
    (trial,) = trials(tmp_path / "run")
    assert (trial.optimizer, trial.width) == ("lion", 32)
    assert trial.learning_rate == json.loads(predicted.read_text())["learning_rate"]


# Signs of every kind; a run can be moved to where it could not have been trained.
ANY_NAME = "~ [v2] *?\\ \"'`$(){}|;&<>!#%:,=@^ \t\u00e9\u6f22"


def test_a_run_is_read_wherever_it_lies(swept, trained, config, predicted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("transfer.sweeps.runner.train", None)
    proxies, run = (tmp_path / ANY_NAME / name for name in ("swept", "trained"))
    shutil.copytree(swept, proxies)
    shutil.copytree(trained, run)
    assert transfer("spectrum", f"--run={proxies}") == 0
    assert transfer("predict", f"--run=~/{ANY_NAME}/swept", "--width=32") == 0
    assert (proxies / "hyperparameters.json").exists()
    assert transfer("export", f"--run={run}", f"--output=~/{ANY_NAME}/weights") == 0
    assert (tmp_path / ANY_NAME / "weights" / "model.safetensors").exists()
    assert not (tmp_path / "~").exists()


def test_a_tokenizer_is_trained_and_then_used(config, tmp_path, capsys):
    file = tmp_path / "bpe.json"
    arguments = (f"--config={config}", f"--output={file}", "--vocabulary_size=300")
    assert transfer("tokenizer", *arguments) == 0
    assert f"--config.data.tokenizer={file}" in capsys.readouterr().out
    used = (f"--config.data.tokenizer={file}", "--config.training.warmup=12")
    assert transfer("sweep", f"--config={config}", *used, f"--run={tmp_path}/run") == 1
    require_complaint(capsys.readouterr().err, "warmup", 12)

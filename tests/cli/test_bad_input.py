"""Whatever is wrong is one sentence that says so, exit status 1 or 2, and nothing is written."""

import json
import os
import shutil
import socket

import pytest

from transfer.run_directory import RunDirectory

from .terminal import TINY, transfer

SWEEP = ("sweep", "--config=tiny.py", "--run=new")


# Verbs and flags.


def test_a_misspelt_verb_names_the_nearest(refused):
    refused("swep", status=2, names=("swep", "sweep"))


def test_an_unknown_verb_lists_those_there_are(refused):
    error = refused("xyzzy", status=2, names=("--help",))
    assert "did you mean" not in error


def test_no_verb_is_bad_usage_and_shows_the_help(capsys):
    assert transfer() == 2
    assert "usage: transfer VERB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("sweep", "--confg=tiny.py"), ("--confg", "--config")),
        (("predict", "--widht=3"), ("--widht", "--width")),
        (("train", "--hyperparameter=a"), ("--hyperparameters",)),
        ((*SWEEP, "somewhere"), ("somewhere", "--name=value")),
        (("predict", "--run=a", "--width=abc"), ("--width", "abc")),
        (("sweep", "--launcher=slurm"), ("--launcher", "slurm", "local or ray")),
        (("sweep", "--launcher=rya"), ("--launcher", "rya", "ray")),
        (("train", "--allow_mismatch=perhaps"), ("--allow_mismatch", "perhaps", "true or false")),
        (("predict", "--run"), ("--run",)),
    ],
)
def test_a_bad_flag(refused, arguments, names):
    refused(*arguments, names=names)


@pytest.mark.parametrize(
    "verb", ["sweep", "predict", "train", "report", "spectrum", "check", "export"]
)
def test_a_run_directory_is_needed(refused, verb):
    config = ("--config=tiny.py",) if verb in ("sweep", "train", "check") else ()
    refused(verb, *config, names=("--run=DIR",))


@pytest.mark.parametrize("verb", ["sweep", "train", "check", "explain", "tokenizer"])
def test_a_configuration_is_needed(refused, verb):
    needed = {"tokenizer": ("--output=a.json",), "explain": ()}.get(verb, ("--run=new",))
    refused(verb, *needed, names=("--config=FILE.py",))
    override = (verb, *needed, "--config.model.width=8")
    refused(*override, names=("--config.model.width",))


# Settings.


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("model.widht=8", ("config.model.widht", "width")),
        ("modl.width=8", ("config.modl", "model")),
        ("model.width.x=8", ("config.model.width",)),
        ("model.width=eight", ("--config.model.width", "eight")),
        ("model.width=8.5", ("--config.model.width", 8.5)),
        ("model.tied=maybe", ("--config.model.tied", "maybe")),
        ("hyperparameters.weight_decay=x", ("weight_decay", "x")),
        ("training.optimizer=muom", ("training.optimizer", "muom", "muon")),
        ("model=8", ("--config.model", 8)),
        ("sweep.widths=(8,'a')", ("config.sweep.widths[1]", "a")),
        ("base_width=0", ("base_width", 0)),
        ("base_layers=-1", ("base_layers", -1)),
        ("base_layers=2", (0.5, "depth", "completep", "depth_mup")),
        ("base_batch_size=2", (2, "horizon", "sde")),
        ("base_tokens=99", (7.75758, "horizon", "sde")),
        ("recipe.depth=complete", ("complete", "completep")),
        ("recipe.horizon=sda", ("sda", "sde")),
        ("model.head_dim=5", ("head_dim", 5, 32)),
        ("model.kv_heads=2", ("kv_heads",)),
        ("model.dtype=float23", ("model.dtype", "float23")),
        ("training.steps=0", ("training.steps", 0)),
        ("training.warmup=12", ("warmup", 12)),
        ("training.schedule=cosin", ("cosin", "cosine")),
        (
            "hyperparameters.learning_rate=0",
            ("learning_rate", 0.0),
        ),
        ("sweep.space.learning_rate=(0.01,)", ()),
        ("sweep.space.learning_rate=(0.0,1.0)", ("learning_rate",)),
        ("sweep.search=rndom", ("sweep.search", "rndom", "random")),
        ("sweep.recipes=('standrd',)", ("standrd", "standard")),
        ("sweep.recipes=('mup','mup+sqrt')", ("mup+sqrt",)),
        ("sweep.widths=()", ("sweep.widths", ())),
        ("sweep.widths=(8,8)", ("sweep.widths", (8, 8))),
        ("data.train_split=trian", ("trian", "train", "test")),
        ("data.batch_size=0", ("data.batch_size", 0)),
        ("data.tokenizer=missing.model", ("missing.model",)),
        ("model.vocabulary=255", ("model.vocabulary", 255, 256)),
    ],
)
def test_a_bad_setting(refused, override, names):
    refused(*SWEEP, f"--config.{override}", names=names)


@pytest.mark.parametrize("verb", ["sweep", "train", "explain", "plan", "check", "tokenizer"])
def test_a_misspelt_setting_is_refused_by_all_who_read_a_configuration(refused, verb):
    run = () if verb in ("explain", "plan", "tokenizer") else ("--run=new",)
    flags = ("--config=tiny.py", "--config.training.schedule=cosin", *run)
    output = ("--output=a.json",) if verb == "tokenizer" else ()
    refused(verb, *flags, *output, names=("training.schedule", "cosin", "cosine"))


def test_a_beta_that_cannot_follow_the_batch_is_refused(refused):
    batch = ("--config.recipe.horizon=sde", "--config.data.batch_size=48")
    refused(*SWEEP, *batch, "--config.base_batch_size=4", "--config.base_tokens=9216", names=(0.9,))


def test_a_recipe_that_does_not_fit_the_model_leaves_no_run_directory(refused):
    tied = ("--config.model.tied=True", "--config.sweep.recipes=('mup_table3',)")
    refused(*SWEEP, *tied)


@pytest.mark.parametrize("verb", ["sweep", "train", "quickstart"])
def test_a_vocabulary_smaller_than_the_tokenizers_is_refused_by_all_who_train(refused, verb):
    refused(
        verb,
        "--config=tiny.py",
        "--run=new",
        "--config.model.vocabulary=100",
        names=("--config.model.vocabulary=256",),
    )


def test_a_vocabulary_may_be_padded(workplace):
    from transfer.config import read
    from transfer.sweeps import load_for

    experiment = read({"model": {"vocabulary": 384}, "data": {"name": "synthetic"}})
    assert load_for(experiment, []).vocabulary_size == 256


def test_a_quickstart_needs_a_target_above_its_proxies(refused):
    arguments = ("--config=tiny.py", "--run=new", "--config.model.width=16")
    refused("quickstart", *arguments, names=(16,))


def test_an_empty_data_directory(refused, workplace):
    (workplace / "empty").mkdir()
    data = ("--config.data.name=lm1b", "--config.data.data_dir=empty")
    refused(*SWEEP, *data, names=("lm1b", "empty", "tfds build lm1b"))


def test_an_unknown_data_set(refused, workplace):
    data = ("--config.data.name=synthetc", f"--config.data.data_dir={workplace}/data")
    refused(*SWEEP, *data, names=("synthetc", "synthetic"))


# Config files.


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("def get_config(:", ("file.py", 1, "SyntaxError")),
        ("\nimport no_such_module", ("file.py", 2, "ModuleNotFoundError")),
        ("def get_config():\n  return 1 / 0", ("file.py", 2, "ZeroDivisionError")),
        ("x = 1", ("file.py", "get_config")),
        ("def get_config():\n  return 3", ("get_config", "file.py", 3)),
        ("def get_config():\n  pass", ("transfer.config.template()",)),
        (
            TINY.replace("model.width", "model.widht"),
            ("model.widht", "width"),
        ),
        (TINY.replace("base_width", "bas_width"), ("bas_width", "base_width")),
        (TINY.replace("width = 32", 'width = "a"'), (8, "TypeError")),
        (TINY.replace("= (8, 16)", "= 8"), (20, "TypeError")),
    ],
)
def test_a_bad_config_file(refused, workplace, content, names):
    (workplace / "file.py").write_text(content)
    refused("sweep", "--config=file.py", "--run=new", names=names)


@pytest.mark.parametrize("place", ["missing.py", "."])
def test_a_missing_config_file(refused, place):
    refused("sweep", f"--config={place}", "--run=new", "--config.model.width=8", names=(place,))


# Run directories.


@pytest.mark.parametrize("verb", ["report", "spectrum", "predict"])
@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_run_directory_without_trials(refused, workplace, verb, place):
    (workplace / "empty").mkdir()
    width = ("--width=32",) if verb == "predict" else ()
    refused(verb, f"--run={place}", *width, names=(place, "trials.parquet"))


@pytest.mark.parametrize("verb", ["sweep", "train", "report", "spectrum", "check", "export"])
def test_a_run_directory_that_is_a_file(refused, verb):
    config = ("--config=tiny.py",) if verb in ("sweep", "train", "check") else ()
    refused(verb, "--run=tiny.py", *config, names=("--run=tiny.py",))


@pytest.mark.parametrize("verb", ["report", "spectrum"])
def test_a_bucket_whose_package_is_not_installed(refused, verb, monkeypatch):
    def missing(protocol, **settings):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.filesystem", missing)
    refused(verb, "--run=gs://bucket/run", names=("gcsfs", "pip"))


def test_a_run_directory_with_foreign_files(refused, workplace):
    (workplace / "thesis").mkdir()
    (workplace / "thesis/chapter.txt").write_text("years of work")
    refused("sweep", "--config=tiny.py", "--run=thesis", names=("thesis", "config.json"))


def test_a_run_directory_that_another_process_writes(refused, run, capsys):
    """Nobody else may write into it meanwhile, and everyone may read."""
    with RunDirectory(run).exclusive():
        refused(
            *("sweep", "--config=tiny.py", "--run=swept"),
            names=("swept", socket.gethostname(), os.getpid()),
            recorded=False,
        )
        assert transfer("spectrum", "--run=swept") == 0
        assert transfer("predict", "--run=swept", "--width=32") == 0
    capsys.readouterr()


def test_a_run_directory_of_another_sweep(refused, run):
    arguments = ("sweep", "--config=tiny.py", "--run=swept", "--config.training.steps=13")
    refused(*arguments, names=("config.training.steps", 12, 13))


def test_a_run_directory_of_another_verb(refused, run):
    refused("train", "--config=tiny.py", "--run=swept", names=("swept",))


def test_a_run_directory_of_other_data(refused, run):
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(content | {"data_fingerprint": "0" * 64}))
    refused("sweep", "--config=tiny.py", "--run=swept", names=("swept/config.json",))


@pytest.mark.parametrize("verb", ["sweep", "report", "predict"])
@pytest.mark.parametrize("keep", [0, 7, 500])
def test_damaged_trials(refused, run, verb, keep):
    table = run / "trials.parquet"
    table.write_bytes(table.read_bytes()[:keep])
    needed = {"sweep": ("--config=tiny.py",), "predict": ("--width=32",)}.get(verb, ())
    refused(verb, "--run=swept", *needed, names=("trials.parquet",))


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_configuration_of_a_run(refused, run, content):
    (run / "config.json").write_text(content)
    for verb, *flags in (("report",), ("sweep", "--config=tiny.py"), ("export", "--output=out")):
        refused(verb, "--run=swept", *flags, names=("config.json", "JSON"))


# Checks.


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("widths=64,wide", ("--widths=64,wide",)),
        ("widths=64,,128", ("--widths=64,,128",)),
        ("widths=64,65", ("head_dim", 8, 65)),
        ("widths=-64,64", ("model.width", -64)),
        ("widths=64", (1, 4)),
        ("widths=64,64", (1,)),
        ("seeds=1", (1, 4)),
        ("seeds=few", ("--seeds", "few")),
        ("steps=0", (4, 0)),
    ],
)
def test_a_bad_check(refused, flag, names):
    refused("check", "--config=tiny.py", "--run=new", f"--{flag}", names=names)


# Outputs.


def test_an_export_needs_checkpoints(refused, run):
    refused("export", "--run=swept", "--output=weights", names=("swept/checkpoints",))


def test_an_export_needs_a_finished_run(refused, workplace, trained):
    copy = shutil.copytree(trained, workplace / "half")
    shutil.rmtree(copy / "checkpoints" / "12")
    refused("export", "--run=half", "--output=weights", names=("half/checkpoints", 10, 12))


def test_an_export_from_a_path_that_no_checkpoint_is_read_from(refused, workplace, trained):
    shutil.copytree(trained, workplace / "back\\slash")
    refused("export", "--run=back\\slash", "--output=weights", names=("back\\slash",))


def test_an_export_needs_a_run_directory(refused):
    refused("export", "--run=nowhere", "--output=weights", names=("config.json",))


def test_an_output_is_needed(refused, run):
    refused("export", "--run=swept", names=("--output=FOLDER",))
    refused("tokenizer", "--config=tiny.py", names=("--output=FILE.model", "FILE.json"))


def test_an_export_overwrites_nothing(refused, workplace, trained):
    (workplace / "weights").mkdir()
    (workplace / "weights/config.json").write_text("another model")
    refused("export", f"--run={trained}", "--output=weights", names=("weights",))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--output=a.txt",), ("a.txt",)),
        (("--output=a.json", "--vocabulary_size=10"), (10, 257)),
        (("--output=a.json", "--vocabulary_size=ten"), ("--vocabulary_size", "ten")),
    ],
)
def test_a_bad_tokenizer(refused, arguments, names):
    refused("tokenizer", "--config=tiny.py", *arguments, names=names)

"""Whatever is wrong is one sentence that says so, exit status 1 or 2, and nothing is written."""

import json
import re
import shutil

import pytest

from .terminal import TINY, transfer

SWEEP = ("sweep", "--config=tiny.py", "--run=new")


# Verbs and flags.


def test_a_misspelt_verb_names_the_nearest(refused):
    error = refused("swep", status=2)
    assert 'The verb "swep" is unknown (did you mean "sweep"?)' in error
    assert "expected one of quickstart, sweep" in error


def test_an_unknown_verb_lists_those_there_are(refused):
    error = refused("xyzzy", status=2)
    assert "did you mean" not in error
    assert "tokenizer; transfer --help" in error


def test_no_verb_is_bad_usage_and_shows_the_help(capsys):
    assert transfer() == 2
    assert "usage: transfer VERB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "--confg=tiny.py"), '--confg is unknown (did you mean "--config"?); expected'),
        (("predict", "--widht=3"), '--widht is unknown (did you mean "--width"?); expected'),
        (("train", "--hyperparameter=a"), 'did you mean "--hyperparameters"?'),
        ((*SWEEP, "somewhere"), '"somewhere" is no flag; expected flags of the form --name=value'),
        (("predict", "--run=a", "--width=abc"), '--width is "abc"; expected a whole number'),
        (("predict", "--run"), "Missing value for flag --run"),
    ],
)
def test_a_bad_flag(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    "verb", ["sweep", "predict", "train", "report", "spectrum", "check", "export"]
)
def test_a_run_directory_is_needed(refused, verb):
    config = ("--config=tiny.py",) if verb in ("sweep", "train", "check") else ()
    assert "No run directory was given; expected --run=DIR" in refused(verb, *config)


@pytest.mark.parametrize("verb", ["sweep", "train", "check", "explain", "tokenizer"])
def test_a_configuration_is_needed(refused, verb):
    needed = {"tokenizer": ("--output=a.json",), "explain": ()}.get(verb, ("--run=new",))
    assert "No configuration was given; expected --config=FILE.py" in refused(verb, *needed)
    override = (verb, *needed, "--config.model.width=8")
    assert "--config.model.width overrides a configuration, but none" in refused(*override)


# Settings.


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=8", 'config.model.widht is unknown.*did you mean "width"'),
        ("modl.width=8", 'config.modl is unknown.*did you mean "model"'),
        ("model.width.x=8", "config.model.width has no keys of its own"),
        ("model.width=eight", '--config.model.width is "eight"; expected a whole number'),
        ("model.width=8.5", '--config.model.width is "8.5"; expected a whole number'),
        ("model.tied=maybe", '--config.model.tied is "maybe"; expected True or False'),
        ("hyperparameters.weight_decay=x", 'weight_decay is "x"; expected a number'),
        ("training.optimizer=muom", 'training.optimizer "muom" is unknown.*did you mean "muon"'),
        ("model=8", '--config.model is "8"; expected a section'),
        ("sweep.widths=(8,'a')", r"config.sweep.widths\[1\] is 'a'; expected a whole number"),
        ("base_width=0", "base_width is 0; expected the width, of at least 1"),
        ("base_layers=-1", "base_layers is -1; expected a whole number of at least 1, or 0"),
        ("base_layers=2", "0.5 times the base depth, .* expected depth = completep or depth_mup"),
        ("base_batch_size=2", "The batch size is 2 .* of the base run.* expected horizon = sde"),
        ("base_tokens=99", "the number of tokens 7.75758 times .* expected horizon = sde"),
        ("recipe.depth=complete", 'depth rule "complete" is unknown.*did you mean "completep"'),
        ("recipe.horizon=sda", 'horizon "sda" is unknown; expected one of sde'),
        ("model.head_dim=5", "head_dim = 5 does not divide the width 32; expected"),
        ("model.kv_heads=2", "kv_heads is not a setting: a fixed number .* no hidden rule fits"),
        ("model.dtype=float23", 'model.dtype "float23" is unknown; expected one of'),
        ("training.steps=0", "training.steps is 0"),
        ("training.warmup=12", "warmup of 12 .* do not fit a run of 12; expected fewer"),
        ("training.schedule=cosin", 'The schedule "cosin" is unknown.*did you mean "cosine"'),
        (
            "hyperparameters.learning_rate=0",
            "learning_rate is 0.0;.*expected a finite number above 0",
        ),
        ("sweep.space.learning_rate=(0.01,)", "learning-rate grid has one point; expected several"),
        ("sweep.space.learning_rate=(0.0,1.0)", "learning_rate is .*; expected positive numbers"),
        ("sweep.search=rndom", 'sweep.search "rndom" is unknown.*did you mean "random"'),
        ("sweep.recipes=('standrd',)", 'parametrization "standrd" is unknown; .* "standard"'),
        ("sweep.recipes=('mup','mup+sqrt')", "reads as mup.sqrt, mup.sqrt; expected none twice"),
        ("sweep.widths=()", r"sweep.widths is \(\); expected at least one value"),
        ("sweep.widths=(8,8)", "sweep.widths is .* none twice"),
        ("data.train_split=trian", 'no split "trian"; expected "train" or "test"'),
        ("data.batch_size=0", "data.batch_size is 0; expected a whole number of at least 1"),
        ("data.tokenizer=missing.model", "tokenizer missing.model cannot be read .* existing"),
        ("model.vocabulary=255", "model.vocabulary is 255 but the tokenizer bytes has 256 tokens"),
    ],
)
def test_a_bad_setting(refused, override, message):
    assert re.search(message, refused(*SWEEP, f"--config.{override}"))


def test_a_beta_that_cannot_follow_the_batch_is_refused(refused):
    batch = ("--config.recipe.horizon=sde", "--config.data.batch_size=48")
    error = refused(*SWEEP, *batch, "--config.base_batch_size=4", "--config.base_tokens=9216")
    assert "A beta of 0.9 would have to average over less than a step" in error


def test_a_recipe_that_does_not_fit_the_model_leaves_no_run_directory(refused):
    tied = ("--config.model.tied=True", "--config.sweep.recipes=('mup_table3',)")
    assert "untied readout" in refused(*SWEEP, *tied)


@pytest.mark.parametrize("verb", ["sweep", "train", "quickstart"])
def test_a_vocabulary_smaller_than_the_tokenizers_is_refused_by_all_who_train(refused, verb):
    error = refused(verb, "--config=tiny.py", "--run=new", "--config.model.vocabulary=100")
    assert "expected at least as many: set --config.model.vocabulary=256." in error


def test_a_vocabulary_may_be_padded(workplace):
    from transfer.config import read
    from transfer.sweeps import load_for

    experiment = read({"model": {"vocabulary": 384}, "data": {"name": "synthetic"}})
    assert load_for(experiment, []).vocabulary_size == 256


def test_a_quickstart_needs_a_target_above_its_proxies(refused):
    arguments = ("--config=tiny.py", "--run=new", "--config.model.width=16")
    assert "the target, is 16; expected one above every width" in refused("quickstart", *arguments)


def test_an_empty_data_directory(refused, workplace):
    (workplace / "empty").mkdir()
    data = ("--config.data.name=lm1b", "--config.data.data_dir=empty")
    error = refused(*SWEEP, *data)
    assert "The data set lm1b is not prepared in empty; run `tfds build lm1b" in error


def test_an_unknown_data_set(refused, workplace):
    data = ("--config.data.name=synthetc", f"--config.data.data_dir={workplace}/data")
    error = refused(*SWEEP, *data)
    assert 'The data set "synthetc" is neither known' in error
    assert 'did you mean "synthetic"?' in error


# Config files.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def get_config(:", "file.py fails in line 1: SyntaxError"),
        ("\nimport no_such_module", "file.py fails in line 2: ModuleNotFoundError"),
        ("def get_config():\n  return 1 / 0", "file.py fails in line 2: ZeroDivisionError"),
        ("x = 1", "file.py has no get_config function; expected one"),
        ("def get_config():\n  return 3", "get_config of the config file file.py returns 3"),
        ("def get_config():\n  pass", "returns None; expected transfer.config.template()"),
        (
            TINY.replace("model.width", "model.widht"),
            'model.widht is unknown.*did you mean "width"',
        ),
        (TINY.replace("base_width", "bas_width"), 'bas_width is unknown; .* "base_width"'),
        (TINY.replace("width = 32", 'width = "a"'), "fails in line 8: TypeError"),
        (TINY.replace("= (8, 16)", "= 8"), "fails in line 20: TypeError"),
    ],
)
def test_a_bad_config_file(refused, workplace, content, message):
    (workplace / "file.py").write_text(content)
    assert re.search(message, refused("sweep", "--config=file.py", "--run=new"))


@pytest.mark.parametrize("place", ["missing.py", "."])
def test_a_missing_config_file(refused, place):
    error = refused("sweep", f"--config={place}", "--run=new", "--config.model.width=8")
    assert f"There is no config file {place}; expected a Python file" in error


# Run directories.


@pytest.mark.parametrize("verb", ["report", "spectrum", "predict"])
@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_run_directory_without_trials(refused, workplace, verb, place):
    (workplace / "empty").mkdir()
    width = ("--width=32",) if verb == "predict" else ()
    error = refused(verb, f"--run={place}", *width)
    assert f"{place} holds no trials; expected trials.parquet" in error


@pytest.mark.parametrize("verb", ["sweep", "train", "report", "spectrum", "check", "export"])
def test_a_run_directory_that_is_a_file(refused, verb):
    config = ("--config=tiny.py",) if verb in ("sweep", "train", "check") else ()
    assert "--run=tiny.py is a file; expected a directory" in refused(
        verb, "--run=tiny.py", *config
    )


def test_a_run_directory_with_foreign_files(refused, workplace):
    (workplace / "thesis").mkdir()
    (workplace / "thesis/chapter.txt").write_text("years of work")
    error = refused("sweep", "--config=tiny.py", "--run=thesis")
    assert "thesis holds files but no config.json" in error


def test_a_run_directory_of_another_sweep(refused, run):
    arguments = ("sweep", "--config=tiny.py", "--run=swept", "--config.training.steps=13")
    assert "(config.training.steps was 12 and is now 13)" in refused(*arguments)


def test_a_run_directory_of_another_verb(refused, run):
    error = refused("train", "--config=tiny.py", "--run=swept")
    assert "belongs to a sweep, not to a training run" in error


def test_a_run_directory_of_other_data(refused, run):
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(content | {"data_fingerprint": "0" * 64}))
    error = refused("sweep", "--config=tiny.py", "--run=swept")
    assert "training data differs from that of swept/config.json" in error


@pytest.mark.parametrize("verb", ["sweep", "report", "predict"])
@pytest.mark.parametrize("keep", [0, 7, 500])
def test_damaged_trials(refused, run, verb, keep):
    table = run / "trials.parquet"
    table.write_bytes(table.read_bytes()[:keep])
    needed = {"sweep": ("--config=tiny.py",), "predict": ("--width=32",)}.get(verb, ())
    assert "trials.parquet is not a Parquet table" in refused(verb, "--run=swept", *needed)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_configuration_of_a_run(refused, run, content):
    (run / "config.json").write_text(content)
    for verb, *flags in (("report",), ("sweep", "--config=tiny.py"), ("export", "--output=out")):
        assert re.search(
            r"config.json (is not valid|holds no) JSON", refused(verb, "--run=swept", *flags)
        )


# Checks.


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("widths=64,wide", "--widths=64,wide is no list of widths; expected whole numbers such as"),
        ("widths=64,,128", "--widths=64,,128 is no list of widths"),
        ("widths=64,65", "head_dim = 8 does not divide the width 65; expected"),
        ("widths=-64,64", "model.width is -64; expected"),
        ("widths=64", "check of 1 widths, 4 seeds and 4 steps has no slope or no interval"),
        ("widths=64,64", "check of 1 widths.*expected at least two widths, two seeds and one step"),
        ("seeds=1", "1 seeds and 4 steps has no slope or no interval"),
        ("seeds=few", '--seeds is "few"; expected a whole number'),
        ("steps=0", "4 seeds and 0 steps has no slope"),
    ],
)
def test_a_bad_check(refused, flag, message):
    assert re.search(message, refused("check", "--config=tiny.py", "--run=new", f"--{flag}"))


# Outputs.


def test_an_export_needs_checkpoints(refused, run):
    error = refused("export", "--run=swept", "--output=weights")
    assert "swept/checkpoints holds no checkpoint; expected those of a finished" in error


def test_an_export_needs_a_finished_run(refused, workplace, trained):
    copy = shutil.copytree(trained, workplace / "half")
    shutil.rmtree(copy / "checkpoints" / "12")
    error = refused("export", "--run=half", "--output=weights")
    assert "half/checkpoints is of step 10 of 12; expected that of a finished run" in error


def test_an_export_needs_a_run_directory(refused):
    assert "no config.json; expected" in refused("export", "--run=nowhere", "--output=weights")


def test_an_output_is_needed(refused, run):
    assert "expected --output=FOLDER" in refused("export", "--run=swept")
    assert "expected --output=FILE.model or FILE.json" in refused("tokenizer", "--config=tiny.py")


def test_an_export_overwrites_nothing(refused, workplace, trained):
    (workplace / "weights").mkdir()
    (workplace / "weights/config.json").write_text("another model")
    error = refused("export", f"--run={trained}", "--output=weights")
    assert "weights holds a checkpoint already" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output=a.txt",), '"a.txt" names no tokenizer; expected'),
        (("--output=a.json", "--vocabulary_size=10"), "10 tokens has no room .* more than 257"),
        (("--output=a.json", "--vocabulary_size=ten"), 'is "ten"; expected a whole number'),
    ],
)
def test_a_bad_tokenizer(refused, arguments, message):
    assert re.search(message, refused("tokenizer", "--config=tiny.py", *arguments))

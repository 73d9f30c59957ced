import dataclasses
import json
import pathlib

import jax
import pytest
from refusals import refused

from transfer.config import Experiment, SearchSpace, SweepConfig, read
from transfer.data import DataConfig
from transfer.run_directory import RunDirectory
from transfer.sharding import MeshConfig
from transfer.sweeps import register_run
from transfer.training import TrainingConfig

EXPERIMENT = Experiment(name="mine", training=TrainingConfig(steps=100))
LONGER = dataclasses.replace(EXPERIMENT, training=TrainingConfig(steps=101))
FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "deep" / "run")


@pytest.fixture
def registered(run):
    register_run(run, EXPERIMENT, FINGERPRINT, "sweep")
    return run


def files(run):
    folder = pathlib.Path(run.path)
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_config_json_says_what_was_asked_for_and_of_what(registered):
    content = registered.read_json("config.json")

    assert set(content) == {"format", "kind", "experiment", "data_fingerprint", "provenance"}
    assert content["format"] == 1
    assert content["kind"] == "sweep"
    assert content["data_fingerprint"] == FINGERPRINT
    assert read(content["experiment"]) == EXPERIMENT
    provenance = content["provenance"]
    assert provenance["versions"]["jax"] == jax.__version__
    assert set(provenance["versions"]) >= {"transfer", "jax", "jaxlib", "flax", "optax", "numpy"}
    assert len(provenance["devices"]) == jax.device_count()
    assert provenance["devices"][0].startswith("cpu")
    assert {"python", "revision"} <= set(provenance)


def test_the_same_run_is_claimed_again_and_nothing_is_written(registered):
    before = files(registered)
    registered.write_bytes("trials.parquet", b"later")
    register_run(registered, EXPERIMENT, FINGERPRINT, "sweep")

    assert files(registered) == before | {"trials.parquet": b"later"}


def test_what_was_planned_first_is_the_same_run(run):
    run.write_json("plan.json", {"fits": True})
    register_run(run, EXPERIMENT, FINGERPRINT, "sweep")
    assert set(files(run)) == {"plan.json", "config.json"}


def test_data_may_have_moved(registered):
    moved = dataclasses.replace(EXPERIMENT, data=DataConfig(data_dir="/elsewhere"))
    register_run(registered, moved, FINGERPRINT, "sweep")


def test_files_of_ones_own_may_have_moved_but_are_no_other_data_set(run):
    def reads(name: str) -> Experiment:
        return dataclasses.replace(EXPERIMENT, data=DataConfig(name=name))

    register_run(run, reads("folder:corpus"), FINGERPRINT, "sweep")
    register_run(run, reads("folder:/mnt/corpus"), FINGERPRINT, "sweep")
    with refused("config.data.name", "folder:corpus", "synthetic"):
        register_run(run, reads("synthetic"), FINGERPRINT, "sweep")
    with refused(FINGERPRINT[:12]):
        register_run(run, reads("folder:corpus"), "f" * 64, "sweep")


def test_a_run_may_go_on_on_another_mesh(registered):
    split = dataclasses.replace(EXPERIMENT, mesh=MeshConfig(fsdp=8))
    register_run(registered, split, FINGERPRINT, "sweep")


@pytest.mark.parametrize(
    ("experiment", "fingerprint", "kind", "names"),
    [
        (LONGER, FINGERPRINT, "sweep", ("config.training.steps", 100, 101)),
        (
            dataclasses.replace(EXPERIMENT, data=DataConfig(batch_size=8, data_dir="/elsewhere")),
            FINGERPRINT,
            "sweep",
            ("config.data.batch_size", 16, 8),
        ),
        (EXPERIMENT, FINGERPRINT, "training run", ()),
        (
            EXPERIMENT,
            "f" * 64,
            "sweep",
            ("config.json", FINGERPRINT[:12]),
        ),
    ],
)
def test_another_run_is_refused_and_nothing_is_changed(
    registered, experiment, fingerprint, kind, names
):
    before = files(registered)
    with refused(*names):
        register_run(registered, experiment, fingerprint, kind)
    assert files(registered) == before


def sweeping(*rates: float) -> Experiment:
    sweep = SweepConfig(widths=(16, 32), recipes=("mup",), space=SearchSpace(learning_rate=rates))
    return dataclasses.replace(EXPERIMENT, sweep=sweep)


@pytest.mark.parametrize("kind", ["sweep", "quickstart"])
def test_a_sweep_may_grow(run, kind):
    register_run(run, sweeping(0.1, 0.2), FINGERPRINT, kind)
    register_run(run, sweeping(0.1, 0.2, 0.4), FINGERPRINT, kind)
    assert read(run.read_json("config.json")["experiment"]) == sweeping(0.1, 0.2, 0.4)


def by(objective: str) -> Experiment:
    sweep = dataclasses.replace(sweeping(0.1, 0.2).sweep, objective=objective)
    return dataclasses.replace(EXPERIMENT, sweep=sweep)


@pytest.mark.parametrize(
    ("experiment", "kind"),
    [
        (sweeping(0.1, 0.4), "sweep"),
        (by("loss"), "sweep"),
        (dataclasses.replace(sweeping(0.1, 0.2, 0.4), base_width=16), "sweep"),
        (dataclasses.replace(sweeping(0.1, 0.2, 0.4), training=LONGER.training), "sweep"),
        (sweeping(0.1, 0.2, 0.4), "training run"),
    ],
)
def test_only_a_sweep_may_grow_and_only_by_trials(run, experiment, kind):
    register_run(run, sweeping(0.1, 0.2), FINGERPRINT, kind)
    before = files(run)
    with refused(run.path):
        register_run(run, experiment, FINGERPRINT, kind)
    assert files(run) == before


def test_foreign_files_are_left_alone(run):
    run.path.mkdir(parents=True)
    (run.path / "thesis.tex").write_text("dear to someone")
    before = files(run)

    with refused(run.path, "config.json"):
        register_run(run, EXPERIMENT, FINGERPRINT, "sweep")
    assert files(run) == before


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "notes").write_text("dear to someone")

    with refused(tmp_path / "notes"):
        register_run(RunDirectory(tmp_path / "notes"), EXPERIMENT, FINGERPRINT, "sweep")
    assert (tmp_path / "notes").read_text() == "dear to someone"


def test_an_empty_directory_may_be_claimed(run):
    run.path.mkdir(parents=True)
    register_run(run, EXPERIMENT, FINGERPRINT, "sweep")
    assert run.read_json("config.json")["kind"] == "sweep"


def test_a_directory_whose_first_write_was_cut_off_may_be_claimed(run):
    run.path.mkdir(parents=True)
    (run.path / ".config.json.0f3a.partial").write_bytes(b'{"kind')
    register_run(run, EXPERIMENT, FINGERPRINT, "sweep")
    assert run.read_json("config.json")["kind"] == "sweep"


def test_a_configuration_of_an_older_version_is_told_by_the_key_that_is_new(registered):
    content = registered.read_json("config.json")
    del content["experiment"]["training"]["clip"]
    registered.write_bytes("config.json", json.dumps(content).encode())

    with refused("config.training.clip", None, 1.0):
        register_run(registered, EXPERIMENT, FINGERPRINT, "sweep")


@pytest.mark.parametrize("sign", ["*", "?", "[", "\\", "\udcff"])
def test_a_path_that_reads_as_a_pattern_is_refused_before_anything_is_written(tmp_path, sign):
    run = RunDirectory(tmp_path / f"run {sign}v2]")
    with refused("--run", *(sign if sign.isprintable() else ("UTF-8",))):
        register_run(run, EXPERIMENT, FINGERPRINT, "sweep")
    assert not list(tmp_path.iterdir())

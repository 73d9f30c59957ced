import dataclasses
import math
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.run_directory import (
    METRICS_SCHEMA,
    SPECTRUM_SCHEMA,
    TRIALS_SCHEMA,
    RunDirectory,
    TrialResult,
)


def trial(name, **changes):
    fields = {
        "trial": name,
        "group": "g",
        "origin": "sweep",
        "width": 32,
        "base_width": 32,
        "layers": 2,
        "batch_size": 16,
        "recipe": "mup+sqrt",
        "parametrization": "mup",
        "rates": "full",
        "decay_rule": "sqrt",
        "depth_rule": "",
        "horizon_rule": "",
        "clipping": "invariant",
        "optimizer": "adamw",
        "learning_rate": 0.1,
        "weight_decay": 0.1,
        "input_learning_rate": 1.0,
        "readout_learning_rate": 1.0,
        "init_scale": 1.0,
        "embedding_output": 1.0,
        "readout_output": 1.0,
        "attention_logits": 1.0,
        "seed": 0,
        "steps": 10,
        "tokens": 1000,
        "trunk": "",
        "parameters": 10,
        "flops": 6e4,
        "status": "completed",
        "loss": 1.5,
        "eval_loss": 1.25,
        "eval_accuracy": 0.5,
        "objective": "eval_loss",
        "decay_times": 1.0,
        "wall_seconds": 2.0,
        "compile_seconds": 0.5,
        "execution": "in_turn, 1 trial x 1 data",
    }
    return TrialResult(**(fields | changes))


def metrics(name):
    return [
        {"trial": name, "step": step, "loss": 1.0, "grad_norm": 0.5, "learning_rate": 0.1}
        for step in (1, 2)
    ]


def spectrum(name):
    place = {"step": 2, "parameter": "up", "layer": 0, "rank": 0}
    return [{"trial": name, **place, "singular_value": 3.0, "bound": 0.5}]


def add(run, group, *trials):
    rows = [dataclasses.replace(each, group=group) for each in trials]
    run.add_group(
        group,
        rows,
        [row for each in rows for row in metrics(each.trial)],
        [row for each in rows for row in spectrum(each.trial)],
    )


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "run")


def test_what_is_added_is_read_back(run):
    add(run, "narrow", trial("a", loss=0.1 + 0.2))
    add(run, "wide", trial("b", width=64))

    assert run.trials() == [
        trial("a", group="narrow", loss=0.1 + 0.2),
        trial("b", group="wide", width=64),
    ]
    assert run.require_trials() == run.trials()
    assert run.metrics().to_pylist() == metrics("a") + metrics("b")
    assert run.spectrum().to_pylist() == spectrum("a") + spectrum("b")


def test_a_new_directory_has_empty_tables(run):
    assert run.trials() == []
    assert run.read_json("config.json") is None
    assert run.metrics().schema == METRICS_SCHEMA
    assert run.spectrum().schema == SPECTRUM_SCHEMA
    assert run.metrics().num_rows == run.spectrum().num_rows == 0
    with refused("trials.parquet"):
        run.require_trials()
    assert not run.path.exists()


def test_trials_are_sorted_by_what_they_are_whatever_the_order_they_came_in(run):
    sorted_names = []
    trials = []
    for recipe in ("mup+sqrt", "standard"):
        for width in (8, 16, 128):
            for origin in ("predicted", "sweep"):
                for rate in (0.01, 0.2):
                    for decay in (0.05, 0.1):
                        for seed in (0, 2, 10):
                            sorted_names.append(f"{len(sorted_names)}")
                            trials.append(
                                trial(
                                    sorted_names[-1],
                                    recipe=recipe,
                                    width=width,
                                    origin=origin,
                                    learning_rate=rate,
                                    weight_decay=decay,
                                    seed=seed,
                                )
                            )
    random.Random(0).shuffle(trials)
    for index in range(0, len(trials), 29):
        add(run, f"g{index}", *trials[index : index + 29])

    assert [each.trial for each in run.trials()] == sorted_names


def test_adding_a_group_twice_changes_nothing(run):
    add(run, "other", trial("z", width=64))
    add(run, "group", trial("a"), trial("b", seed=1))
    before = run.trials(), run.metrics(), run.spectrum()
    add(run, "group", trial("a"), trial("b", seed=1))

    assert (run.trials(), run.metrics(), run.spectrum()) == before


def test_a_group_trained_again_replaces_its_rows_and_no_others(run):
    add(run, "other", trial("z", width=64))
    add(run, "group", trial("a", loss=1.0))
    add(run, "group", trial("a", loss=2.0))

    assert [(each.trial, each.loss) for each in run.trials()] == [("a", 2.0), ("z", 1.5)]
    assert run.metrics().num_rows == 4


def test_trials_are_written_last(run, monkeypatch):
    written = []
    write = RunDirectory.write_bytes

    def record(self, name, content):
        written.append(name)
        return write(self, name, content)

    monkeypatch.setattr(RunDirectory, "write_bytes", record)
    add(run, "g", trial("a"))
    assert written[-1] == "trials.parquet"
    tables = {f"{name}/g.parquet" for name in ("metrics", "spectrum", "gains")}
    assert set(written) == {"trials.parquet", *tables}


def test_losses_of_a_diverged_trial_stay_nan(run):
    add(run, "g", trial("a", status="diverged", loss=math.nan, eval_loss=math.nan))
    (found,) = run.trials()

    assert found.status == "diverged"
    assert math.isnan(found.loss)
    assert math.isnan(found.eval_loss)


def test_json_is_read_back(run):
    content = {"a": [1, 2.5, None, "text"], "b": {"c": True}}
    file = run.write_json("report/verdict.json", content)

    assert file == run.path / "report" / "verdict.json"
    assert run.read_json("report/verdict.json") == content


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_without_a_meaning_is_refused_and_the_old_file_stays(run, value):
    run.write_json("verdict.json", {"loss": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("verdict.json", {"loss": [value]})

    assert run.read_json("verdict.json") == {"loss": 1.0}


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"[1, 2", b"\x89PNG\xff\xfe"])
def test_a_file_that_is_no_json_is_one_sentence(run, content):
    run.write_bytes("config.json", content)
    with refused("config.json", "JSON", "--run"):
        run.read_json("config.json")


def test_json_that_is_no_object_is_one_sentence(run):
    run.write_bytes("config.json", b"[1, 2]")
    with refused("config.json", "JSON", "--run"):
        run.read_json("config.json")


def cut(content):
    return content[: len(content) // 2]


def scratched(content):
    """Change bytes of the rows, leaving both ends as they are."""
    return content[:40] + bytes(byte ^ 0xFF for byte in content[40:80]) + content[80:]


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: b"text", cut, scratched])
@pytest.mark.parametrize("table", ["trials", "metrics", "spectrum"])
def test_a_damaged_table_is_one_sentence(run, table, damage):
    add(run, "g", trial("a"))
    name = "trials.parquet" if table == "trials" else f"{table}/g.parquet"
    run.write_bytes(name, damage((run.path / name).read_bytes()))

    with refused(name, "--run"):
        getattr(run, table)()


@pytest.mark.parametrize(
    "foreign",
    [
        pa.table({"loss": [1.0]}),
        TRIALS_SCHEMA.empty_table().append_column("more", pa.array([], pa.int64())),
        TRIALS_SCHEMA.empty_table().drop_columns(["seed"]),
    ],
)
def test_a_table_of_other_columns_is_one_sentence(run, foreign):
    sink = pa.BufferOutputStream()
    pq.write_table(foreign, sink)
    run.write_bytes("trials.parquet", sink.getvalue().to_pybytes())

    with refused("trials.parquet", "--run"):
        run.trials()


def test_unfinished_files_are_not_read(run):
    add(run, "g", trial("a"))
    for folder in ("metrics", "spectrum"):
        (run.path / folder / ".h.parquet.0f3a.partial").write_bytes(b"half of")

    assert run.metrics().num_rows == 2
    assert run.spectrum().num_rows == 1


@pytest.mark.parametrize(("objective", "expected"), [("loss", 1.5), ("eval_loss", 1.25)])
def test_trials_are_compared_by_the_objective(objective, expected):
    assert trial("a", objective=objective).objective_value == expected
    diverged = trial("a", objective=objective, status="diverged", loss=math.nan, eval_loss=math.nan)
    assert diverged.objective_value == math.inf


def test_a_configuration_has_the_number_of_its_format(run):
    assert run.config() is None
    run.write_config({"kind": "sweep"})
    assert run.config() == {"format": 1, "kind": "sweep"}


@pytest.mark.parametrize(("content", "found"), [({}, "config.json"), ({"format": 2}, 2)])
def test_a_configuration_of_another_format_is_one_sentence(run, content, found):
    run.write_json("config.json", content)
    with refused("config.json", found, 1, "--run"):
        run.config()


def test_a_folder_of_runs_names_them(tmp_path):
    for name in ("sgd", "adamw"):
        RunDirectory(tmp_path / name).add_group("g", [trial("a")], [], [])
    with refused(tmp_path, "adamw, sgd"):
        RunDirectory(tmp_path).require_trials()


@pytest.mark.parametrize("name", ["run [v2]", "a*b", "why?", "%", "{x}", "#1", "a'b\"c", "é"])
def test_tables_are_read_wherever_they_were_written(tmp_path, name):
    (tmp_path / "run v").mkdir()  # which the first two would match as patterns
    run = RunDirectory(tmp_path / name)
    add(run, "g", trial("a"))
    found = RunDirectory(str(tmp_path / name))
    assert [each.trial for each in found.trials()] == ["a"]
    assert found.metrics().to_pylist() == metrics("a")
    assert found.spectrum().to_pylist() == spectrum("a")


# Letters of every kind, and more often the signs that patterns, shells and URLs take for their own.
SIGNS = st.one_of(
    st.sampled_from("~[]*?{}\\%#:&;|<>!$'\"`\t\n .-@^=+,()"),
    st.characters(codec="utf-8", exclude_characters="/\0"),
)
NAMES = st.text(SIGNS, min_size=1, max_size=40).filter(
    lambda name: name.strip(".") and len(name.encode()) < 200
)


@given(NAMES, NAMES)
@settings(max_examples=25, deadline=None)
def test_tables_are_read_wherever_they_are(tmp_path_factory, folder, name):
    path = tmp_path_factory.mktemp("any") / folder / name
    add(RunDirectory(path), "g", trial("a"))
    found = RunDirectory(str(path))
    assert [each.trial for each in found.trials()] == ["a"]
    assert found.metrics().to_pylist() == metrics("a")


def test_a_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(RunDirectory("~/runs/a")) == str(tmp_path / "runs/a")
    assert str(RunDirectory("gs://bucket/~a")) == "gs://bucket/~a"


def test_a_home_of_nobody_is_refused(tmp_path):
    """It would otherwise be a folder beside the caller's, under a name that shells take apart."""
    with refused("~no-such-user/runs", "absolute"):
        RunDirectory("~no-such-user/runs")
    assert RunDirectory(tmp_path / "~no-such-user").path == tmp_path / "~no-such-user"


@pytest.mark.parametrize(
    "path", ["gs:/bucket/run", "file:///runs/a", "http://host/run", "x/http://y", "x/gs:/y"]
)
def test_a_url_of_no_bucket_is_refused(path):
    with refused(path, "gs://"):
        RunDirectory(path)


@pytest.mark.parametrize("path", ["gs://bucket/run", "a:/b", "gs:", "gsx:/y", "c:"])
def test_a_path_that_looks_like_a_url_is_one_or_a_path(path):
    assert str(RunDirectory(path)).startswith(path[:4])


def test_a_zero_byte_is_refused():
    with refused("zero byte"):
        RunDirectory("a\0b")

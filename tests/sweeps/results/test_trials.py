"""Tables of results are read as the trials they describe, or refused in a sentence."""

import dataclasses
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refused

import transfer
from transfer.report import Report
from transfer.sweeps.results import read_results

from . import table
from .table import ROWS


def numbers(found) -> list[tuple]:
    return [
        (trial.width, trial.learning_rate, trial.seed, trial.eval_loss, trial.status)
        for trial in found
    ]


EXPECTED = [(r["width"], r["lr"], r["seed"], r["val_loss"], "completed") for r in ROWS]


def files(folder):
    yield table.write_csv(folder / "a.csv")
    # pandas writes its index first, without a name.
    indexed = [{"": place} | row for place, row in enumerate(ROWS)]
    yield table.write_csv(folder / "indexed.csv", indexed)
    yield table.write_csv(folder / "mlflow.csv", table.MLFLOW)
    yield table.write_csv(folder / "page.csv", table.WANDB_PAGE)
    yield table.write_csv(folder / "api.csv", table.WANDB_API)
    yield table.write_lines(folder / "a.jsonl")
    yield table.write_lines(
        folder / "nested.jsonl",
        [{"config": {k: r[k] for k in ("width", "lr", "seed")}, "summary": r} for r in ROWS],
    )
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet")
    yield folder / "a.parquet"
    with pa.OSFile(str(folder / "a.arrow"), "wb") as file:
        rows = pa.Table.from_pylist(ROWS)
        with pa.ipc.new_stream(file, rows.schema) as writer:
            writer.write_table(rows)
    yield folder / "a.arrow"


def test_every_format_gives_the_same_trials(tmp_path):
    for file in files(tmp_path):
        assert numbers(transfer.trials(str(file))) == EXPECTED, file


def test_frames_and_lists_give_the_same_trials():
    assert numbers(transfer.trials(ROWS)) == EXPECTED
    assert numbers(transfer.trials(pa.Table.from_pylist(ROWS))) == EXPECTED

    class Frame:
        """What a frame of pandas is to those who do not know Arrow."""

        def to_dict(self, orient):
            assert orient == "records"
            return ROWS

    assert numbers(transfer.trials(Frame())) == EXPECTED


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_real_frame(library):
    frames = pytest.importorskip(library)
    lost = [row | {"val_loss": math.nan if row["lr"] > 0.1 else row["val_loss"]} for row in ROWS]
    found = transfer.trials(frames.DataFrame(lost))
    kept = [(t.width, t.learning_rate, t.seed) for t in found if t.status == "completed"]
    assert kept == [(r["width"], r["lr"], r["seed"]) for r in ROWS if r["lr"] <= 0.1]
    assert {t.status for t in found if t.learning_rate > 0.1} == {"diverged"}


def test_the_verdict_on_a_table_is_that_its_learning_rate_transfers():
    report = Report.of_trials(transfer.trials(ROWS))
    judged = report.verdict.recipes["given"]
    assert judged.answer.transfers == "true"
    assert all(abs(each.log2_learning_rate.value + 6) < 0.1 for each in judged.optima)
    moved = [row | {"lr": row["lr"] * 64 / row["width"]} for row in ROWS]
    judged = Report.of_trials(transfer.trials(moved)).verdict.recipes["given"]
    assert judged.answer.transfers == "false"
    assert judged.slope.value == pytest.approx(-1, abs=0.05)


def test_what_is_told_is_kept_and_what_is_not_is_unknown():
    told = {
        "weight_decay": 0.1,
        "recipe": "mup",
        "base_width": "64.0",
        "num_steps": 300,
        "tokens": 10**6,
        "n_params": 2000,
        "n_layers": 4,
        "batch_size": 16,
        "optimizer": "AdamW",
        "runtime": 3.5,
        "accuracy": 0.25,
        "train_loss": 2.9,
        "readout_output": 2,
    }
    trial = transfer.trials([ROWS[0] | told])[0]
    assert dataclasses.asdict(trial) | {"trial": "", "compile_seconds": 0, "decay_times": 0} == {
        **dataclasses.asdict(trial),
        "trial": "",
        "compile_seconds": 0,
        "decay_times": 0,
        "width": 64,
        "weight_decay": 0.1,
        "recipe": "mup",
        "base_width": 64,
        "steps": 300,
        "tokens": 10**6,
        "parameters": 2000,
        "flops": 6.0 * 2000 * 10**6,
        "layers": 4,
        "batch_size": 16,
        "optimizer": "AdamW",
        "wall_seconds": 3.5,
        "eval_accuracy": 0.25,
        "loss": 2.9,
        "readout_output": 2.0,
        "objective": "eval_loss",
        "origin": "sweep",
    }
    bare = transfer.trials([{"width": 64, "lr": 0.1, "train_loss": 2.0}])[0]
    assert (bare.objective, bare.objective_value) == ("loss", 2.0)
    assert (bare.base_width, bare.steps, bare.parameters, bare.flops) == (0, 0, 0, 0.0)


@pytest.mark.parametrize("lost", [math.nan, math.inf, "NaN", "", None])
def test_a_run_without_a_finite_loss_diverged(lost):
    found = transfer.trials([ROWS[0], ROWS[3] | {"val_loss": lost}])
    assert [trial.status for trial in found] == ["completed", "diverged"]
    assert found[1].objective_value == math.inf


def test_how_a_run_ended_counts():
    states = {"crashed": "failed", "FINISHED": "completed", "killed": "failed"}
    rows = [ROWS[0] | {"state": state} for state in ("running", *states)]
    found = read_results(rows)
    assert [trial.status for trial in found.trials] == list(states.values())
    assert "1 runs that have not ended are left out" in found.notes[0]


def test_without_seeds_equal_settings_are_told_apart_by_their_order():
    rows = [{name: row[name] for name in ("width", "lr", "val_loss")} for row in ROWS]
    found = read_results(rows)
    assert [trial.seed for trial in found.trials] == [row["seed"] for row in ROWS]
    assert "by their order" in found.notes[0]


def test_columns_may_be_named_and_left_out():
    rows = [row | {"dim": 2 * row["width"], "state": "whatever"} for row in ROWS]
    found = read_results(rows, {"width": "dim", "status": ""})
    assert {trial.width for trial in found.trials} == {128, 256, 512}
    assert "width from dim" in found.notes[0]
    with refused("breadth", "width"):
        read_results(ROWS, {"breadth": "dim"})
    with refused("dim", "width=COLUMN"):
        read_results(ROWS, {"width": "dim"})


def test_names_are_kept_where_no_two_runs_share_one():
    rows = [row | {"name": name} for row, name in zip(ROWS, ("a", "b", "b", ""), strict=False)]
    names = [trial.trial for trial in transfer.trials(rows)]
    assert names == ["a", "given row 2", "given row 3", "given row 4"]


def test_text_that_would_steer_a_terminal_is_replaced():
    (trial,) = transfer.trials([ROWS[0] | {"recipe": "\x1b[31mred\n", "optimizer": "a\0b"}])
    assert (trial.recipe, trial.optimizer) == ("\ufffd[31mred", "a\ufffdb")


def test_python_in_a_cell_is_read_and_not_run(tmp_path):
    planted = f"{{'width': __import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()}}"
    with refused("width"):
        transfer.trials([{"config": planted, "lr": 0.1, "loss": 2.0}])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"width": "wide"}, ("'wide'", "width", "row 1", "a number")),
        ({"width": 64.5}, (64.5, "row 1")),
        ({"width": 0}, (0, "row 1")),
        ({"width": None}, ("nothing", "width")),
        ({"lr": 0}, ("lr", "row 1")),
        ({"lr": -0.1}, ("lr", "row 1")),
        ({"lr": math.nan}, ("lr", "row 1")),
        ({"seed": 1.5}, ("seed", "row 1")),
        ({"val_loss": "low"}, ("'low'", "val_loss", "row 1")),
        ({"weight_decay": -1}, ("weight_decay", "row 1")),
        ({"status": "finnished"}, ("finnished", "finished")),
        ({"val_loss": True}, ("True", "val_loss")),
    ],
)
def test_a_cell_that_is_not_what_its_column_holds(change, names):
    with refused(*names):
        transfer.trials([ROWS[0] | change, ROWS[1]])


@pytest.mark.parametrize(
    ("missing", "names"),
    [("width", ("width",)), ("lr", ("learning_rate",)), ("val_loss", ("eval_loss",))],
)
def test_a_column_that_is_missing(missing, names):
    rows = [{name: value for name, value in row.items() if name != missing} for row in ROWS]
    with refused(*names):
        transfer.trials(rows)


def test_no_run_that_completed():
    with refused("val_loss", len(ROWS)):
        transfer.trials([row | {"val_loss": math.nan} for row in ROWS])


BROKEN = {
    "empty.csv": "",
    "header.csv": "width,lr,val_loss\n",
    "ragged.csv": "width,lr,val_loss\n1,2\n",
    "twice.csv": "width,lr,lr,val_loss\n1,2,3,4\n",
    "quote.csv": 'width,lr,val_loss\n1,2,"3\n',
    "cut.jsonl": '{"width": 64, "lr": 0.1, "val_loss": 3.0}\n{"width": 6',
    "list.jsonl": "[1]\n",
    "none.parquet": "hello",
    "none.arrow": "hello",
    "none.xlsx": "hello",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_table(tmp_path, name):
    (tmp_path / name).write_text(BROKEN[name])
    with refused(tmp_path / name):
        transfer.trials(tmp_path / name)


def test_what_is_no_table():
    for source in (3, {"width": [1]}, None):
        with refused(type(source).__name__):
            transfer.trials(source)
    with refused("nowhere.csv"):
        transfer.trials("nowhere.csv")

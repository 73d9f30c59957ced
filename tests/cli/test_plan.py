"""`transfer plan`: what it prints, what it writes, and what it refuses."""

import importlib.util
import json

import pytest

from .terminal import transfer

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="compiling for a TPU needs libtpu"
)
CONFIG = "--config=tiny.py"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ("--topology", "v5p:4x4x4")),
        (("--topology=v6p:2x2",), ("v6e",)),
        (("--topology=v5e:3x3",), ("1x1", "2x2")),
        (("--topology=v5p:4x4x4", "--mesh.fsdp=x"), ("--mesh.fsdp", "x")),
        (("--topology=v5p:4x4x4", "--mesh.fdsp=2"), ("--mesh.fsdp",)),
        (("--topology=v5p:4x4x4", "--mesh.data=-1"), ("mesh.data", -1)),
    ],
)
def test_what_is_refused_before_anything_is_compiled(arguments, names, refused):
    refused("plan", CONFIG, *arguments, names=names)


def test_without_libtpu_the_sentence_says_how_to_get_it(refused, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    refused("plan", CONFIG, "--topology=v5p:4x4x4", names=("width-transfer[tpu]",))


@needs_libtpu
def test_a_run_is_planned_without_its_data(workplace, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TRANSFER_DATA_DIR", str(workplace / "data"))
    given = ("--topology=v6e:2x2", "--mesh.fsdp=2", "--mesh.data=2", "--run=run")
    assert transfer("plan", CONFIG, *given) == 0

    output, error = capsys.readouterr()
    assert error == ""
    assert all(len(line) <= 80 for line in output.splitlines() if "plan.json" not in line)
    for word in ("optimizer", "temporaries", "compiled FLOPs", "MFU", "all-gather", "fsdp"):
        assert word in output
    assert not (workplace / "data").exists()

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((workplace / "run/plan.json").read_text(), parse_constant=refuse)
    assert content["fits"] is True
    assert content["plan"]["mesh"] == {"trial": 1, "data": 2, "fsdp": 2, "tensor": 1}
    assert 0 < content["plan"]["estimate"]["utilisation"] < 1


@needs_libtpu
def test_a_sweep_is_planned_width_by_width(workplace, capsys):
    given = ("--topology=v5e:2x2", "--config.sweep.widths=(8,)", "--run=run")
    assert transfer("plan", CONFIG, "--sweep", *given) == 0

    assert "chip-hours" in capsys.readouterr().out
    content = json.loads((workplace / "run/plan.json").read_text())
    (found,) = content["groups"]
    # Four of five trials lie on the four chips, and the fifth beside one of them.
    assert (found["plan"]["trials"], found["plan"]["mesh"]["trial"]) == (5, 4)
    assert found["plan"]["exchanges"] == []
    assert content["room"]["8"] > 1000
    assert content["chip_hours"] == found["plan"]["chip_hours"] > 0


@pytest.mark.full
@needs_libtpu
def test_a_sweep_that_leaves_chips_idle_is_planned_to_its_end(workplace, capsys):
    # Three trials on four chips, and one example a step, which leaves no other use for the fourth.
    rates = "--config.sweep.space.learning_rate=(0.25,0.5,1.0)"
    given = (rates, "--config.data.batch_size=1", "--config.sweep.widths=(8,)", "--run=run")
    assert transfer("plan", CONFIG, "--sweep", "--topology=v5p:2x2x1", *given) == 0

    content = json.loads((workplace / "run/plan.json").read_text())
    (found,) = content["groups"]
    assert found["plan"]["mesh"] == {"trial": 3, "data": 1, "fsdp": 1, "tensor": 1}
    # As many more lie beside each of the three.
    assert content["room"]["8"] % 3 == 0
    assert content["room"]["8"] > 1000

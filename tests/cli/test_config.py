"""`transfer config` and `transfer init`: configurations as files of one's own."""

import pathlib

import pytest

from transfer.cli.shipped import shipped
from transfer.config import read

from .terminal import TINY, transfer


def resolved(path):
    content = {}
    exec(path.read_text(), content)
    return read(content["get_config"]())


@pytest.mark.parametrize("name", shipped())
def test_what_is_printed_is_the_same_configuration(name, capsys, tmp_path):
    assert transfer("config", f"--config={name}") == 0
    printed = tmp_path / "printed.py"
    printed.write_text(capsys.readouterr().out)
    assert resolved(printed) == resolved(shipped()[name])


def test_overrides_are_in_what_is_printed(capsys, tmp_path):
    file = tmp_path / "tiny.py"
    file.write_text(TINY)
    given = ("--config.model.layers=3", "--config.sweep.seeds=(0,5)")
    assert transfer("config", f"--config={file}", *given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "    config.model.layers = 3" in lines
    assert "    config.sweep.seeds = (0, 5)" in lines


def test_a_shipped_configuration_is_copied_and_nothing_is_overwritten(refused, workplace, capsys):
    assert transfer("init", "quickstart") == 0
    assert "transfer sweep --config=quickstart.py" in capsys.readouterr().out
    assert pathlib.Path("quickstart.py").read_text() == shipped()["quickstart"].read_text()
    refused("init", "quickstart", names=("quickstart.py", "--output"))
    assert transfer("init", "quickstart", "--output=mine.py") == 0
    assert resolved(pathlib.Path("mine.py")).name == "quickstart"
    capsys.readouterr()
    refused("init", "quikstart", names=("quikstart", "quickstart"))
    refused("init", "quickstart", "--output=no/folder.py", names=("no/folder.py",))


def test_without_a_name_they_are_listed(capsys):
    assert transfer("init") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped())
    assert all(len(line.split()) > 3 for line in lines)

"""Help: complete, on standard output, and there at once."""

import importlib.metadata
import os
import re
import subprocess
import sys

import pytest

from transfer import __version__
from transfer.cli.main import VERBS

from .terminal import transfer

HEAVY = ("jax", "matplotlib", "tensorflow_datasets", "flax", "orbax", "pyarrow", "grain")
PROBE = f"""
import sys
from transfer.cli.main import main
status = main(["transfer", *sys.argv[1:]])
heavy = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy else status)
"""
FLAGS = {
    "quickstart": ("config", "run", "compilation_cache"),
    "sweep": (
        "config",
        "run",
        "launcher",
        "address",
        "processes",
        "cpus",
        "gpus",
        "slices",
        "compilation_cache",
        "dry_run",
        "budget",
    ),
    "predict": ("run", "width", "layers", "batch_size", "tokens", "recipe", "decay"),
    "forecast": ("run", "width", "replace", "target"),
    "plan": (
        "config",
        "run",
        "topology",
        "sweep",
        "mesh.trial",
        "mesh.data",
        "mesh.fsdp",
        "mesh.tensor",
    ),
    "train": ("config", "run", "hyperparameters", "allow_mismatch", "compilation_cache"),
    "report": ("run",),
    "spectrum": ("run",),
    "check": ("config", "run", "widths", "against", "seeds", "steps", "all", "compilation_cache"),
    "explain": ("config", "format", "for"),
    "export": ("run", "output"),
    "tokenizer": ("config", "vocabulary_size", "output"),
    "watch": ("run", "host", "port"),
    "compare": ("run", "against"),
    "runs": ("folder",),
    "config": ("config",),
    "init": ("name", "output"),
}


def test_the_version_is_that_of_the_package(capsys):
    assert transfer("--version") == 0
    assert capsys.readouterr().out == f"transfer {__version__}\n"
    assert __version__ == importlib.metadata.version("width-transfer")


def test_python_dash_m_is_the_command():
    said = subprocess.run(
        [sys.executable, "-m", "transfer", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"transfer {__version__}\n"


def test_every_verb_is_listed_with_what_it_is_for(capsys):
    assert transfer("--help") == 0
    output = capsys.readouterr().out
    for verb, purpose in VERBS.items():
        assert f"  {verb} " in output
        assert purpose in output


def test_every_verb_has_flags_to_explain():
    assert set(FLAGS) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_explains_it_and_each_of_its_flags(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert transfer(verb, "--help") == 0
    output, error = capsys.readouterr()
    assert error == ""
    heading, _, *rest = output.splitlines()
    assert heading == f"transfer {verb}: {VERBS[verb]}"
    explained = {line.strip()[2:].partition(":")[0] for line in rest if line.startswith("  --")}
    assert explained == set(FLAGS[verb])
    assert all(line.partition(": ")[2] for line in rest if line.startswith("  --"))


@pytest.mark.parametrize("verb", [(), *((verb,) for verb in VERBS)])
def test_help_fits_a_narrow_terminal(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("transfer.cli.quickstart.shipped_file", lambda name: f"configs/{name}.py")
    assert transfer(*verb, "--help") == 0
    usage, *rest = capsys.readouterr().out.splitlines()
    assert max(map(len, rest if verb == () else [usage, *rest])) <= 60


@pytest.mark.parametrize("spelling", ["-h", "-help", "--help", "--helpfull"])
def test_help_is_given_whatever_else_is_on_the_line(spelling, capsys):
    assert transfer("sweep", "--nonsense=3", spelling) == 0
    assert "transfer sweep:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "default"),
    [
        ("quickstart", "runs/quickstart"),
        ("quickstart", "configs/quickstart.py"),
        ("tokenizer", "4096"),
        ("check", "4"),
    ],
)
def test_help_tells_the_defaults(verb, default, capsys):
    assert transfer(verb, "--help") == 0
    output = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"\(default: \S*{default}\)", output)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("swep",), *((verb, "--help") for verb in VERBS)]
)
def test_help_imports_nothing_heavy(arguments):
    shown = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True
    )
    assert shown.returncode == (2 if arguments == ("swep",) else 0), shown.stderr


@pytest.mark.parametrize(
    "prints",
    [
        "sys.argv[1:] = ['--help']",
        # What rich prints, as most verbs do.
        "from transfer.cli import console, main; "
        "main.main = lambda _: [console.say('line ' * 99) for _ in range(999)]",
    ],
)
def test_a_reader_that_has_gone_is_no_error(prints):
    """As of `transfer explain ... | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    program = f"import sys; from transfer.cli.main import run; {prints}; run()"
    ended = subprocess.run(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")

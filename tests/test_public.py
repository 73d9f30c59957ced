"""The library face: what `import transfer` offers, and what it costs."""

import importlib.util
import re
import subprocess
import sys

import pytest

import transfer
import transfer.scaling
from transfer import checks, optim


@pytest.mark.parametrize("name", transfer.__all__)
def test_every_public_name_resolves(name):
    assert getattr(transfer, name) is not None
    assert getattr(transfer, name).__doc__


def test_the_public_names_are_those_of_the_readme():
    needed = {"Hyperparameters", "Layout", "Recipe", "TransferError", "adamw", "explain", "sgd"}
    assert needed <= set(transfer.__all__)
    assert transfer.__all__ == sorted(transfer.__all__)


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_every_optimizer_of_the_list_is_public(name):
    make = optim.OPTIMIZERS[name].make
    assert make.__name__ == name
    assert getattr(transfer, name) is getattr(optim, name) is make
    assert name in optim.__all__


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'adamww'"):
        transfer.adamww  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'adamww'"):
        optim.adamww  # noqa: B018


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [
        (transfer, "Verdict", "transfer.RegimeReport"),
        (transfer, "inference", "transfer.tracing"),
        (transfer, "processes", "transfer.distributed"),
        (transfer, "runs", "transfer.run_directory"),
        (transfer, "sweep", "transfer.sweeps"),
        (checks, "Row", "transfer.checks.CheckRow"),
        (checks, "Subject", "transfer.checks.ModelUnderTest"),
        (checks, "built_in", "transfer.checks.built_in_model"),
        (checks, "foreign", "transfer.checks.user_model"),
        (transfer.scaling, "Gauge", "transfer.scaling.Reparametrization"),
        (transfer.scaling, "Move", "transfer.scaling.Extrapolation"),
        (transfer.scaling, "Verdict", "transfer.scaling.RegimeReport"),
        (transfer.scaling, "moves", "transfer.scaling.extrapolate"),
        (transfer.scaling, "shift", "transfer.scaling.reparametrize"),
        (transfer.Recipe(), "columns", "Recipe.exponents"),
        (transfer.Recipe(), "gauge", "Recipe.reparametrization"),
        (transfer.Recipe(), "shifted", "Recipe.reparametrized"),
        (transfer.Exponents.of(transfer.Recipe(), "linear"), "shifted", "Exponents.reparametrized"),
    ],
)
def test_an_old_name_says_the_new_one_which_is_there(owner, old, new):
    with pytest.raises(AttributeError, match=rf"\.{old} is now {re.escape(new)}\.$"):
        getattr(owner, old)
    # A room that nobody has imported yet is no attribute of the package.
    assert hasattr(owner, new.rpartition(".")[2]) or importlib.util.find_spec(new)


@pytest.mark.parametrize("name", ["", ".Recipe", ".TransferError"])
def test_importing_the_library_imports_no_jax(name):
    program = f"import sys, transfer; transfer{name}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

"""One sweep, prediction and training run, made through the command line for all who look at it."""

import functools
import shutil
from unittest import mock

import jax
import pytest
from refusals import require_complaint

from transfer.sweeps import runner
from transfer.training.kept_programs import KeptPrograms

from .terminal import TINY, transfer, tree


@pytest.fixture(scope="package", autouse=True)
def quick_compilation():
    # Compiling is nearly all the time that models this small take.
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="package", autouse=True)
def shared_programs():
    """Commands share programs as groups do: tracing them is most of the time of a small run."""
    kept, run_groups = KeptPrograms(most=16), runner.run_groups

    @functools.wraps(run_groups)
    def sharing(*arguments, programs=None, **choices):
        return run_groups(*arguments, programs=kept, **choices)

    with mock.patch.object(runner, "run_groups", sharing):
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="session")
def config(folder):
    file = folder / "tiny.py"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="session")
def swept(folder, config):
    assert transfer("sweep", f"--config={config}", f"--run={folder}/swept") == 0
    return folder / "swept"


@pytest.fixture(scope="session")
def predicted(folder, swept):
    assert transfer("predict", f"--run={swept}", "--width=32") == 0
    # A copy, since a test that predicts again replaces the run's own.
    return shutil.copy(swept / "hyperparameters.json", folder / "predicted.json")


@pytest.fixture(scope="session")
def trained(folder, config, predicted):
    run = f"--run={folder}/trained"
    assert transfer("train", f"--config={config}", f"--hyperparameters={predicted}", run) == 0
    return folder / "trained"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(workplace, capsys):
    """Run a command that must be refused in a sentence with these names, and return it."""

    def run(*arguments, status=1, names=(), recorded=True):
        before = tree(workplace)
        assert transfer(*arguments) == status
        output, error = capsys.readouterr()
        assert output == ""
        require_complaint(error, *names, recorded=recorded)
        assert tree(workplace) == before
        return error

    return run


@pytest.fixture
def run(workplace, swept):
    """A sweep's run directory of this test's own."""
    return shutil.copytree(swept, workplace / "swept")

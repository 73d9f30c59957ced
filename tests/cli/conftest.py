"""One sweep, prediction and training run, made through the command line for all who look at it."""

import shutil

import jax
import pytest

from .terminal import TINY, transfer


@pytest.fixture(scope="package", autouse=True)
def quick_compilation():
    # Compiling is nearly all the time that models this small take.
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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

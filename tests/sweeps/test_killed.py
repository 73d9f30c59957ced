"""A sweep from the command line that is killed and started again."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from compilation import QUICK

from transfer.run_directory import RunDirectory

COMMAND = "import sys; from transfer.cli.main import main; sys.exit(main(sys.argv))"
CONFIG = """
from transfer.config import template


def get_config():
    config = template()
    config.base_width = 8
    config.model.layers = 1
    config.model.width = 32
    config.model.head_dim = 8
    config.model.feed_forward_multiple = 2.0
    config.model.dtype = "float32"
    config.data.name = "synthetic"
    config.data.sequence_length = 8
    config.data.batch_size = 4
    config.data.eval_sequences = 8
    config.training.steps = 20
    config.training.warmup = 4
    config.sweep.widths = (8, 16)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.space.learning_rate = (2.0**-8, 2.0**-6)
    return config
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    (folder / "config.py").write_text(CONFIG)
    return folder


ADAPTIVE = """
    config.sweep.search = "adaptive"
    config.sweep.seeds = (0, 1)
    config.sweep.space.learning_rate = (2.0**-9, 2.0**-5)
    config.sweep.population = 2
    config.sweep.trials = 8
    config.sweep.tolerance = 1e-6
    return config
"""


HORIZONS = """
    config.training.schedule = "constant"
    config.training.horizons = (10, 20)
    config.training.branch_steps = 5
    config.training.checkpoint_every = 3
    config.sweep.survivors = 0.5
    return config
"""


def sweep(folder: pathlib.Path, run: RunDirectory) -> subprocess.Popen:
    """Start `transfer sweep` in a process of its own; what one has compiled, the next reads."""
    environment = {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "1",
        "XLA_FLAGS": QUICK,
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [
            *(sys.executable, "-c", COMMAND, "sweep"),
            *(f"--config={folder}/config.py", f"--run={run}"),
        ],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def tables(run):
    untimed = {"wall_seconds": 0.0, "compile_seconds": 0.0}
    # What is not known is NaN, which equals nothing but is written alike.
    rows = [row if row.trunk else dataclasses.replace(row, **untimed) for row in run.rows()]
    trials = [repr(row) for row in rows]
    return trials, run.metrics().to_pylist(), run.spectrum().to_pylist()


@pytest.mark.full  # a sweep is killed in tests/kills too
@pytest.mark.multidevice
def test_a_sweep_killed_and_started_again_ends_as_one_never_killed(folder):
    killed, whole = RunDirectory(folder / "killed"), RunDirectory(folder / "whole")
    child = sweep(folder, killed)
    try:
        # The second group has yet to be compiled by then, which takes seconds.
        while child.poll() is None and not killed.trials():
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert {trial.width for trial in killed.trials()} == {8}
    first = tables(killed)[0]

    child = sweep(folder, killed)
    said, _ = child.communicate()
    assert child.returncode == 0
    assert "2 trials are done already, 2 to go" in said
    assert tables(killed)[0][: len(first)] == first

    child = sweep(folder, whole)
    child.communicate()
    assert child.returncode == 0
    assert {trial.width for trial in whole.trials()} == {8, 16}
    assert tables(killed) == tables(whole)


@pytest.mark.parametrize(
    "changes",
    [ADAPTIVE, ADAPTIVE.replace("    return config\n", HORIZONS[1:])],
    ids=["whole", "trunks"],
)
@pytest.mark.full  # its decisions are tested without training in test_adaptive.py
@pytest.mark.multidevice
def test_an_adaptive_search_killed_and_started_again_ends_as_one_never_killed(
    tmp_path_factory, changes
):
    adaptive = tmp_path_factory.mktemp("adaptive")
    (adaptive / "config.py").write_text(CONFIG.replace("    return config\n", changes[1:]))
    killed, whole = RunDirectory(adaptive / "killed"), RunDirectory(adaptive / "whole")
    child = sweep(adaptive, killed)
    try:
        while child.poll() is None and not killed.trials():
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    first = len(killed.trials())

    for run in (killed, whole):
        child = sweep(adaptive, run)
        said, _ = child.communicate()
        assert child.returncode == 0, said
    # The most trials at both widths, or fewer where all points left are above one that diverged.
    assert first < len(whole.trials()) <= 16
    assert {trial.width for trial in whole.trials()} == {8, 16}
    assert tables(killed) == tables(whole)
    assert killed.read_json("search.json") == whole.read_json("search.json")

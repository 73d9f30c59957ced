"""What `prepare` settles before JAX starts, on machines of every kind."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from transfer.cli import platform


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with these devices, cores and packages."""

    def pretend(devices=(), libtpu=True, cores=4):
        monkeypatch.delenv("JAX_PLATFORMS", raising=False)
        monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
        monkeypatch.delitem(sys.modules, "jax")  # this process has its devices

        def glob(folder, pattern):
            found = [pathlib.Path(device) for device in devices]
            return (each for each in found if each.match(str(folder / pattern)))

        monkeypatch.setattr(pathlib.Path, "glob", glob)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if libtpu else None)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)

    return pretend


@pytest.mark.parametrize(
    ("devices", "libtpu", "platforms"),
    [
        ((), True, "cpu"),
        (("/dev/nvidia0",), True, "cuda,cpu"),
        (("/dev/accel0",), True, None),
        (("/dev/vfio/0",), True, None),
        (("/dev/vfio/vfio",), True, "cpu"),
        ((), False, None),
        (("/dev/nvidia0",), False, None),
    ],
)
def test_platforms_are_set_only_where_a_tpu_would_be_sought_in_vain(
    machine, devices, libtpu, platforms
):
    machine(devices, libtpu)
    platform.prepare()
    assert os.environ.get("JAX_PLATFORMS") == platforms


@pytest.mark.parametrize("name", ["cuda", "gpuu"])
def test_a_platform_that_is_not_there_is_one_sentence(name, workplace):
    """Also where JAX itself fails without a word."""
    command = [sys.executable, "-c", "from transfer.cli.main import run; run()"]
    ended = subprocess.run(
        [*command, "sweep", "--config=tiny.py", "--run=new"],
        env=os.environ | {"JAX_PLATFORMS": name, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(f'transfer sweep: JAX_PLATFORMS is "{name}", which JAX cannot')
    assert not (workplace / "new").exists()


@pytest.mark.parametrize(("cores", "devices"), [(1, "1"), (2, "2"), (64, "8")])
def test_each_core_is_a_device_up_to_a_limit(machine, cores, devices):
    machine(cores=cores)
    platform.prepare()
    assert os.environ["JAX_NUM_CPU_DEVICES"] == devices


def test_what_the_user_set_is_left_alone(machine, monkeypatch):
    machine()
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")
    platform.prepare()
    assert (os.environ["JAX_PLATFORMS"], os.environ["JAX_NUM_CPU_DEVICES"]) == ("tpu", "3")


def test_a_machine_that_cannot_count_its_affinity_counts_its_cores(machine, monkeypatch):
    machine()
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    platform.prepare()
    assert os.environ["JAX_NUM_CPU_DEVICES"] == "5"


CONFIGURED = """
import os, sys
os.sched_getaffinity = lambda _: {0, 1, 2}
from transfer.cli.main import main
status = main(["transfer", *sys.argv[1:]])
assert "jax" in sys.modules
import jax
print(status, len(jax.devices()), jax.config.jax_platforms)
"""
EXPLAIN = ("explain", "--config=configs/quickstart.py")
# Refused once it is settled that nothing runs but on the CPU, though the machine may have a TPU.
PLAN = ("plan", "--config=configs/quickstart.py")


@pytest.mark.parametrize(
    ("verb", "environment", "expected"),
    [(EXPLAIN, {}, "0 3 cpu"), (PLAN, {"JAX_PLATFORMS": "tpu"}, "1 3 cpu")],
)
def test_it_is_not_too_late_once_a_configuration_was_read(verb, environment, expected):
    # Configurations import JAX, which reads its environment then.
    others = {name: text for name, text in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURED, *verb],
        cwd=pathlib.Path(__file__).parents[2],
        env=others | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == expected
    assert all(line.startswith("transfer plan: ") for line in done.stderr.splitlines())

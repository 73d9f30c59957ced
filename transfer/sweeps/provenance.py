"""Where a run comes from, and whether a directory is this run's own."""

import dataclasses
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import jax

from transfer.config import Experiment, read
from transfer.data import check_fingerprint, is_same_data_name
from transfer.errors import TransferError
from transfer.run_directory import LOCK, PLAN, RunDirectory
from transfer.sweeps.groups import declared_groups
from transfer.training import TrainingConfig

# Orbax merges the files of a checkpoint by patterns that begin with its path.
_PATTERN = ("*", "?", "[", "\\")
_PACKAGES = ("transfer", "jax", "jaxlib", "flax", "optax", "numpy", "grain", "orbax-checkpoint")

RunKind = Literal["sweep", "quickstart", "training run"]
SWEEPS: tuple[RunKind, ...] = ("sweep", "quickstart")

# Where the data lies does not change what they are, which their fingerprint tells; nor does how
# devices share the work, or what is kept of it meanwhile, change what the work is.
_BESIDE = (
    "config.data.data_dir",
    "config.mesh",
    *(f"config.training.{name}" for name in TrainingConfig.KEEPING),
)


def register_run(
    run: RunDirectory, experiment: Experiment, fingerprint: str, kind: RunKind
) -> None:
    """Write config.json into a new run directory, or check that an old one is the same run.

    A sweep may declare more than it did; config.json then says so.
    Raises `TransferError`, and changes nothing, when the directory belongs to another
    configuration, was made from other data, or holds files but no configuration, and for a path
    under which no checkpoint could be read again.
    """
    _require_plain(str(run))
    content = {
        "kind": kind,
        "experiment": json.loads(json.dumps(dataclasses.asdict(experiment))),
        "data_fingerprint": fingerprint,
        "provenance": provenance(),
    }
    known = run.config()
    if known is None:
        if run.path.exists() and not run.path.is_dir():
            raise TransferError(
                f"{run} is a file; expected a directory, new or of an earlier run: choose another "
                "--run."
            )
        # A first write that was cut off leaves a partial file behind, which is no one's; a plan is
        # made before the run that it is of, and a lock is held by whoever registers it.
        files = run.path.iterdir() if run.path.exists() else ()
        if any(file.suffix != ".partial" and file.name not in (PLAN, LOCK) for file in files):
            raise TransferError(
                f"The directory {run} holds files but no config.json, so it is no run directory; "
                "expected a new directory or that of an earlier run: choose another --run."
            )
        run.write_config(content)
        return
    if known.get("kind") != kind:
        raise TransferError(
            f"The run directory {run} belongs to a {known.get('kind')}, not to a {kind}; expected "
            "its own verb, or another --run."
        )
    recorded = known.get("experiment", {})
    difference = _difference(recorded, content["experiment"], "config")
    grown = (
        kind in SWEEPS
        and difference.startswith("config.sweep.")
        and _has_grown(read(recorded), experiment)
    )
    if difference and not grown:
        raise TransferError(
            f"The run directory {run} belongs to another configuration ({difference}); expected "
            "the configuration it was started with, or another --run."
        )
    check_fingerprint(known.get("data_fingerprint", ""), fingerprint, f"{run}/config.json")
    if grown:
        run.write_config(content)


def _require_plain(path: str) -> None:
    """Raise `TransferError` for a path under which no checkpoint could be written or read again."""
    if found := [sign for sign in _PATTERN if sign in path]:
        raise TransferError(
            f"The run directory {path} has the sign {found[0]} in its path, which the library that "
            "writes checkpoints takes for a pattern; expected a path without "
            f"{' '.join(_PATTERN)}: choose another --run."
        )
    # What Python reads of a name that is no text, and no other library takes.
    if any("\ud800" <= sign <= "\udfff" for sign in path):
        shown = path.encode(errors="backslashreplace").decode()
        raise TransferError(
            f"The run directory {shown} has bytes in its path that are no text in UTF-8; expected "
            "a path of letters: choose another --run."
        )


def provenance() -> dict[str, Any]:
    """Versions, revision, devices and command line, for config.json and the verdict."""
    return {
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "revision": _revision(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "command": _command(),
    }


def _has_grown(old: Experiment, new: Experiment) -> bool:
    """Whether a sweep holds all of an old one: an optimum on the edge asks for more points."""
    return old.sweep.objective == new.sweep.objective and _trials(old) <= _trials(new)


def _trials(experiment: Experiment) -> set[str]:
    return {
        group.trial_name(trial) for group in declared_groups(experiment) for trial in group.trials
    }


def _difference(old: Any, new: Any, path: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if f"{path}.{key}" in _BESIDE:
                continue
            found = _difference(old.get(key), new.get(key), f"{path}.{key}")
            if found:
                return found
        return ""
    if path == "config.data.name" and is_same_data_name(old, new):
        return ""
    return "" if old == new else f"{path} was {old} and is now {new}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _command() -> str | None:
    """The command line of `transfer` that is running; None in another program."""
    program = Path(sys.argv[0]).name
    return shlex.join([program, *sys.argv[1:]]) if program == "transfer" else None


def _revision() -> str | None:
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return shown.stdout.strip()

"""Predicted and measured bytes of a device: `python -m benchmarks.memory`.

Every group is trained in a process of its own. An accelerator says the most bytes that were in use.
A CPU does not, so the growth of resident memory is measured: once all programs are compiled, memory
that is free goes back to the system, and the mark of the most that was resident is reset. The
growth holds some 12 MiB that are no arrays of the program, whatever the width.
"""

import argparse
import ctypes
import dataclasses
import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import jax
from rich.console import Console
from rich.table import Table

from transfer.config import read
from transfer.data import load_dataset
from transfer.training import BuiltPopulation, TrialGroup, loop, train
from transfer.training.memory import PeakMemory, predict_memory
from transfer.training.population import Compiled

WIDTHS, TRIALS = (64, 128, 256, 512), (1, 2, 8)
# Two calls of the program, and a measurement before, between and after them.
STEPS, EVERY, WARM_UP = 4, 2, 16


def group(width: int, trials: int) -> TrialGroup:
    """Trials of one width that differ in their learning rate."""
    training = {"steps": STEPS, "warmup": 1, "log_every": EVERY, "spectrum_every": EVERY}
    model = {"width": width, "layers": 3}
    single = read({"model": model, "base_width": 16, "training": training}).single_run()
    (trial,) = single.trials
    rates = [
        dataclasses.replace(trial.hyperparameters, learning_rate=2.0 ** -(6 + place))
        for place in range(trials)
    ]
    specs = tuple(dataclasses.replace(trial, hyperparameters=rate) for rate in rates)
    return dataclasses.replace(single, trials=specs)


def measure(width: int, trials: int) -> dict[str, int]:
    """Train a group in this process; returns what was predicted of it and the measured peak."""
    smallest, chosen, found = group(WARM_UP, 1), group(width, trials), {}
    # After a small group, what a process needs once is there, such as the code of its libraries.
    train(smallest, load_dataset(smallest.data))

    def watched(built: BuiltPopulation, programs: Compiled, held_out: Any) -> PeakMemory:
        programs.wait()
        found["predicted"] = predict_memory(built, programs, held_out)
        found["before"] = _start()
        return found["predicted"]

    with mock.patch.object(loop, "predict_memory", watched):
        outcome = train(chosen, load_dataset(chosen.data))
    predicted: PeakMemory = found["predicted"]
    measured = _peak() - found["before"]
    del outcome
    devices = 1 if _says() else jax.local_device_count()
    return dataclasses.asdict(predicted) | {
        "peak": predicted.peak,
        "measured": measured // devices,
    }


def _says() -> bool:
    return bool(jax.local_devices()[0].memory_stats())


def _start() -> int:
    """Begin to measure; returns the bytes that are in use already."""
    gc.collect()
    if _says():
        return jax.local_devices()[0].memory_stats()["bytes_in_use"]
    if sys.platform != "linux":
        raise SystemExit("Resident memory is measured on Linux alone.")
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    if _says():
        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]
    return _status("VmHWM")


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS)
    parser.add_argument("--trials", type=int, nargs="*", default=TRIALS)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.widths, *options.trials)))
        return
    table = Table("width", "trials", "a trial's state", "predicted", "measured", "a trial", "ratio")
    for width in options.widths:
        for trials in options.trials:
            asked = [f"--widths={width}", f"--trials={trials}", "--child"]
            command = [sys.executable, "-m", "benchmarks.memory", *asked]
            # Freed blocks go back to the system at once, whatever their size.
            variables = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**17)}
            result = subprocess.run(command, env=variables, stdout=subprocess.PIPE, check=True)
            row = json.loads(result.stdout)
            measured, predicted = row["measured"], row["peak"]
            sizes = row["state"], predicted, measured, measured / trials
            table.add_row(
                *map(str, (width, trials)),
                *(f"{size / 2**20:.1f} MiB" for size in sizes),
                f"{predicted / measured:.2f}",
            )
            print(row, file=sys.stderr, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()

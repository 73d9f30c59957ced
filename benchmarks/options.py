"""What a person may choose of a benchmark, and where the peers are found."""

import dataclasses
import os
import pathlib
import subprocess
import sys

from benchmarks.workers import ROOT, available_cores
from transfer.errors import TransferError

# Names the interpreter that has torch where it is not this one.
VARIABLE = "BENCHMARK_TORCH"
_SETTINGS = ("JAX_", "XLA_", "TORCH", "OMP_", "MKL_", "KMP_", "TRANSFER_COMPILATION_CACHE")


@dataclasses.dataclass(frozen=True)
class Options:
    """How often is measured, and against what.

    Fields:
      blocks: in each of which every contender is measured once.
      torch: the interpreter of the peers.
      before: another checkout of this project to measure beside this one.
    """

    blocks: int = 5
    torch: str = os.environ.get(VARIABLE, sys.executable)
    before: pathlib.Path | None = None

    @property
    def cores(self) -> int:
        """How many cores there are, and so how many trials lie side by side."""
        return available_cores()

    def torch_version(self) -> str:
        """Return the version of torch; raises `TransferError` where torch or mup is missing."""
        done = subprocess.run(
            [self.torch, "-c", "import mup, torch; print(torch.__version__)"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TransferError(
                f"{self.torch} has no torch or no mup; expected an interpreter with both: "
                '`pip install -e ".[bench]"`, or --torch=PYTHON, or '
                f"{VARIABLE} in the environment."
            )
        return done.stdout.strip()

    def peer(self, module: str, *arguments: str) -> list[str]:
        """The command that runs a module of `benchmarks.peers`."""
        return [self.torch, "-m", f"benchmarks.peers.{module}", *arguments]


def environment(checkout: pathlib.Path = ROOT, **more: str) -> dict[str, str]:
    """The environment of a process that runs a checkout on CPU.

    Settings of JAX, XLA, torch and OpenMP in this process's own are left out, so that everyone
    runs as users find it.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return kept | {"PYTHONPATH": str(checkout), "JAX_PLATFORMS": "cpu"} | more

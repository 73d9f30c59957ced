"""Jobs of real processes, which meet on this machine and do what the command line says."""

import dataclasses
import os
import pathlib
import socket
import subprocess
import sys

from compilation import QUICK

COMMAND = "import sys; from transfer.cli.main import main; sys.exit(main(sys.argv))"
# Over loopback a step takes some 15 ms, so that a job lasts for seconds after its first checkpoint.
STEPS = 300
CONFIG = f"""
from transfer.config import template


def get_config():
    config = template()
    config.base_width = 8
    config.model.layers = 1
    config.model.width = 16
    config.model.head_dim = 8
    config.model.feed_forward_multiple = 2.0
    config.model.dtype = "float32"
    config.data.name = "synthetic"
    config.data.sequence_length = 8
    config.data.batch_size = 8
    config.data.eval_sequences = 8
    config.hyperparameters.learning_rate = 2.0**-8  # does not amplify rounding
    config.training.steps = {STEPS}
    config.training.log_every = 20
    config.training.checkpoint_every = 40
    config.training.spectrum_every = 100
    config.sweep.widths = (8, 16)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.space.learning_rate = (2.0**-9, 2.0**-8, 2.0**-7)
    return config
"""


@dataclasses.dataclass(frozen=True)
class Jobs:
    """Starts jobs in a folder; what one has compiled, the next reads.

    `command` is the program of a process.
    """

    folder: pathlib.Path
    command: str = COMMAND

    def __post_init__(self) -> None:
        (self.folder / "config.py").write_text(CONFIG)

    def start(
        self, verb: str, run: pathlib.Path, processes: int = 1, *flags: str, **environment: str
    ) -> list[subprocess.Popen]:
        """Start `transfer VERB` as a job of so many processes, each with one device."""
        address = f"127.0.0.1:{_free_port()}"
        shared = {
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": "1",
            "XLA_FLAGS": QUICK,
            "JAX_COMPILATION_CACHE_DIR": str(self.folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        started = []
        for index in range(processes):
            job = {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(index),
            }
            started.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-c", self.command, verb, f"--run={run}"),
                        *(f"--config={self.folder}/config.py", *flags),
                    ],
                    env=os.environ | shared | (job if processes > 1 else {}) | environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return started

    def finish(self, verb: str, run: pathlib.Path, processes: int = 1, *flags: str) -> list[str]:
        """Run a job to its end; returns what each process said on its standard output."""
        started = self.start(verb, run, processes, *flags)
        ended = [each.communicate() for each in started]
        assert [each.returncode for each in started] == [0] * processes, ended
        return [said for said, _ in ended]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]

"""Milliseconds of a training step of one trial, at several widths, against torch."""

import contextlib
import functools
import pathlib
import sys
import tempfile

import numpy as np

from benchmarks import setting
from benchmarks.options import Options, environment
from benchmarks.results import Part
from benchmarks.workers import Worker, seconds_together

WIDTHS = (16, 64, 128, 256)
# Training batches that every contender takes again and again.
BATCHES = 50
# At least so long is what a contender does in a block.
BLOCK_SECONDS = 0.7

COMPILED = "torch.compile, one trial on all cores"
EAGER = "torch eager, one trial on all cores"
PROCESSES = "torch.compile, a process per core"
MUP = "mup with torch.compile, one trial on all cores"
SIDE_BY_SIDE = "this project, a trial per core"
ALONE = "this project, one trial over all cores"
# In GFLOP/s, and at the last width alone.
PEAK, TORCH_PEAK = "JAX's matrix products", "torch's matrix products"


def measure(part: Part, options: Options) -> None:
    """Measure every width that is missing."""
    from benchmarks.project import step_flops, text_batches

    with tempfile.TemporaryDirectory() as folder:
        batches = pathlib.Path(folder, "batches.npz")
        for width in WIDTHS:
            case = f"width {width}"
            if not part.missing(case, options.blocks):
                continue
            if not batches.exists():
                train, _ = text_batches(BATCHES)
                np.savez(batches, train=train)
            part.fact(f"{case}: FLOPs of a step", step_flops(width))
            _measure_width(part, options, width, batches)


def _measure_width(part: Part, options: Options, width: int, batches: pathlib.Path) -> None:
    cores = options.cores

    def peer(how: str, threads: int) -> Worker:
        flags = (f"--width={width}", f"--threads={threads}", f"--batches={batches}")
        argv = options.peer("timed_steps", *flags, f"--how={how}")
        return Worker(argv, environment())

    def ours(*flags: str) -> Worker:
        return Worker([sys.executable, "-m", "benchmarks.timed_steps", *flags], environment())

    shape = (f"--width={width}", f"--batches={batches}")
    with contextlib.ExitStack() as stack:
        # By contender: its workers, and how many trials take a step together.
        contenders = {
            COMPILED: ([peer("compiled", cores)], 1),
            EAGER: ([peer("eager", cores)], 1),
            PROCESSES: ([peer("compiled", 1) for _ in range(cores)], cores),
            MUP: ([peer("mup", cores)], 1),
            SIDE_BY_SIDE: ([ours(*shape, f"--trials={cores}")], cores),
            ALONE: ([ours(*shape, "--trials=1")], 1),
        }
        if width == WIDTHS[-1]:
            products = Worker(
                options.peer("timed_steps", f"--threads={cores}", "--how=products"), environment()
            )
            contenders |= {PEAK: ([ours("--products")], 1), TORCH_PEAK: ([products], 1)}
        for workers, _ in contenders.values():
            for worker in workers:
                stack.enter_context(worker)
        for workers, _ in contenders.values():
            for worker in workers:
                worker.ready()
        steps = {name: _block_length(workers) for name, (workers, _) in contenders.items()}

        def value(name: str) -> float:
            workers, trials = contenders[name]
            seconds = seconds_together(workers, steps[name]) / steps[name]
            if name in (PEAK, TORCH_PEAK):
                return 2.0 * setting.PRODUCT**3 / seconds / 1e9
            return 1e3 * seconds / trials

        measured = {name: functools.partial(value, name) for name in contenders}
        part.alternate(f"width {width}", measured, options.blocks)


def _block_length(workers: list[Worker]) -> int:
    tried = 4
    return max(tried, round(BLOCK_SECONDS / (seconds_together(workers, tried) / tried)))

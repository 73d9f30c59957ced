"""What share of training's time the devices have nothing to do: `python -m benchmarks.waiting`.

Between a chunk of steps that is done and the next one that is handed over, the devices wait for
this process: for data that it still reads, or for curves, progress, events and checkpoints that it
still writes. A thread notes when each chunk is done, and the loop's own functions when they run.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import jax
from etils import epath
from rich.console import Console
from rich.table import Table

from transfer.cli import platform

# What the loop does between two chunks, by who waits for it.
KINDS = {
    "data": ("PopulationBatches.take", "LocalRows.device_put"),
    "logging": ("_Run.write_down", "Checkpoints.save"),
}
WIDTHS, TRIALS, STEPS = (16, 64), 8, 200


class Watch:
    """Notes when chunks are handed over and done, and when the process reads or writes.

    Fields:
      idle: (start, end) of the times without a chunk on the devices.
      spans: by kind, (start, end) of the calls of its functions.
    """

    def __init__(self) -> None:
        self.spans: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
        self.handed_over: list[float] = []
        self._done: list[tuple[threading.Thread, list[float]]] = []
        self._coming: object = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, the training loop is watched."""
        from transfer.data import PopulationBatches
        from transfer.distributed.exchange import LocalRows
        from transfer.training import Checkpoints, loop
        from transfer.training.lazy_program import LazyProgram

        owners = {
            each.__name__: each for each in (PopulationBatches, LocalRows, Checkpoints, loop._Run)
        }
        changed = []
        for kind, names in KINDS.items():
            for name in names:
                owner, attribute = name.split(".")
                original = getattr(owners[owner], attribute)
                changed.append((owners[owner], attribute, original))
                setattr(owners[owner], attribute, self._timed(kind, original))
        changed.append((loop._Run, "take", loop._Run.take))
        loop._Run.take = self._noted(loop._Run.take)
        changed.append((LazyProgram, "__call__", LazyProgram.__call__))
        LazyProgram.__call__ = self._dispatched(LazyProgram.__call__)
        try:
            yield
        finally:
            for owner, attribute, original in reversed(changed):
                setattr(owner, attribute, original)
            for thread, _ in self._done:
                thread.join()

    @property
    def seconds(self) -> float:
        """From the first chunk to the end of the last."""
        return self._done[-1][1][0] - self.handed_over[0]

    def shares(self) -> dict[str, float]:
        """The share of all seconds in which the devices wait, by kind, and for anything else."""
        idle = [
            (done[0], following)
            for (_, done), following in zip(self._done, self.handed_over[1:], strict=False)
            if following > done[0]
        ]
        shares = {
            kind: sum(_overlap(gap, span) for gap in idle for span in spans) / self.seconds
            for kind, spans in self.spans.items()
        }
        waited = sum(end - start for start, end in idle) / self.seconds
        return shares | {"anything else": waited - sum(shares.values())}

    def busy(self) -> dict[str, float]:
        """The seconds of this process by kind, over all seconds: what cores would lose to it."""
        first, last = self.handed_over[0], self._done[-1][1][0]
        return {
            kind: sum(_overlap((first, last), span) for span in spans) / self.seconds
            for kind, spans in self.spans.items()
        }

    def _timed(self, kind, function):
        def call(*arguments, **named):
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.spans[kind].append((started, time.perf_counter()))

        return call

    def _noted(self, take):
        def call(run, chunk):
            self._coming = run.programs.run
            taken, done = take(run, chunk), []

            def wait() -> None:
                jax.block_until_ready(taken.curves)
                done.append(time.perf_counter())

            thread = threading.Thread(target=wait)
            thread.start()
            self._done.append((thread, done))
            return taken

        return call

    def _dispatched(self, run):
        def call(program, *arguments):
            results = run(program, *arguments)
            if program is self._coming:  # the first steps of a chunk
                self._coming = None
                self.handed_over.append(time.perf_counter())
            return results

        return call


def measure(width: int, folder: epath.PathLike, *, tensorboard: bool) -> Watch:
    """Train a group with checkpoints, and events if asked for, and watch it."""
    from transfer.config import read, template
    from transfer.data import load_dataset
    from transfer.run_directory import RunDirectory
    from transfer.sweeps import declared_groups
    from transfer.sweeps.runner import train_group

    config = template()
    config.base_width, config.model.width = 16, 256
    config.model.layers, config.model.head_dim, config.model.dtype = 3, 16, "float32"
    config.data.sequence_length, config.data.batch_size = 64, 16
    config.training.steps, config.training.warmup = STEPS, 20
    config.training.tensorboard = tensorboard
    config.sweep.widths, config.sweep.recipes = (width,), ("mup+sqrt",)
    config.sweep.space.learning_rate = tuple(2.0**-k for k in range(3, 3 + TRIALS))
    experiment = read(config)
    (group,) = declared_groups(experiment)
    watch = Watch()
    with watch.watching():
        train_group(
            RunDirectory(folder), load_dataset(experiment.data), group, lambda fraction, loss: None
        )
    return watch


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def main() -> None:
    table = Table("width", "events", "waits for data", "for logging", "for anything else", "busy")
    for width in WIDTHS:
        for tensorboard in (False, True):
            with TemporaryDirectory() as folder:
                watch = measure(width, folder, tensorboard=tensorboard)
            shares, busy = watch.shares(), watch.busy()
            table.add_row(
                str(width),
                "yes" if tensorboard else "no",
                *(f"{share:.2%}" for share in shares.values()),
                ", ".join(f"{kind} {share:.2%}" for kind, share in busy.items()),
            )
    Console().print(table)


if __name__ == "__main__":
    platform.prepare()
    main()

"""What a population measures, as it trains, for TensorBoard."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import histogram


class Events:
    """Writes a folder of TensorBoard events for each trial: `tensorboard --logdir FOLDER`.

    Scalars are `loss`, `grad_norm` and `learning_rate` of every step and, by parameter at every
    measurement, `sigma_1` and `gain`, means over layers; `spectrum` is the histogram of the top
    singular values of all layers. What is not finite is left out. Use as a context: leaving it
    waits for the last write.

    Arguments:
      folder: gets a folder for each name.
      names: of the trials, in the population's order.
      learning_rates: (trial, step).

    Example:
      >>> with Events("runs/quickstart/tensorboard", names, rates) as events:  # doctest: +SKIP
      ...     train(..., events=events)
    """

    def __init__(
        self, folder: epath.PathLike, names: Sequence[str], learning_rates: np.ndarray
    ) -> None:
        self._folders = [epath.Path(folder) / name for name in names]
        self._learning_rates = learning_rates
        # A SummaryWriter would send each scalar to a thread through a pipe, which takes 30 us; a
        # population has thousands of scalars a second.
        self._writers: list[EventsWriter] = []

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def start(self, step: int) -> None:
        """Begin after a step; later events, which an interrupted run left, are hidden."""
        # Before the first step there is a measurement to make again; after another it is made.
        purge = step + 1 if step else 0
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            # Files are named by the second; one that begins at another step is never the same.
            writer = EventsWriter(str(folder / "events"), f".{step}")
            _write(writer, purge, session_log=SessionLog(status=SessionLog.START))
            self._writers.append(writer)

    def add_steps(self, step: int, taken: int, curves: Mapping[str, np.ndarray]) -> None:
        """Write the curves (trial, step) of the steps that were taken after a step."""
        for trial, writer in enumerate(self._writers):
            for place in range(step, step + taken):
                scalars = {name: values[trial, place] for name, values in curves.items()}
                scalars["learning_rate"] = self._learning_rates[trial, place]
                _write(writer, place + 1, summary=Summary(value=_scalars(scalars)))
            writer.flush()

    def add_measurement(self, step: int, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what was measured after a step, with a leading trial axis."""
        for trial, writer in enumerate(self._writers):
            values: list[Summary.Value] = []
            for path, spectrum in measured["spectrum"].items():
                top, gain = spectrum[trial], measured["gain"][path][trial]
                values += _scalars(
                    {f"sigma_1/{path}": top[..., 0].mean(), f"gain/{path}": gain.mean()}
                )
                if np.isfinite(top).all():
                    values += histogram(f"spectrum/{path}", top.reshape(-1), "auto").value
            _write(writer, step, summary=Summary(value=values))
            writer.flush()


def _scalars(values: Mapping[str, float]) -> list[Summary.Value]:
    return [
        Summary.Value(tag=tag, simple_value=float(value))
        for tag, value in values.items()
        if np.isfinite(value)
    ]


def _write(writer: EventsWriter, step: int, **content: Any) -> None:
    writer.write_event(Event(wall_time=time.time(), step=step, **content))

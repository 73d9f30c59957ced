"""What a population measures, as it trains, for TensorBoard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from tensorboardX import SummaryWriter


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
        self._folders = [str(epath.Path(folder) / name) for name in names]
        self._learning_rates = learning_rates
        self._writers: list[SummaryWriter] = []

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def start(self, step: int) -> None:
        """Begin after a step; later events, which an interrupted run left, are hidden."""
        # Before the first step there is a measurement to make again; after another it is made.
        purge = step + 1 if step else 0
        # Files are named by the second; one that begins at another step is never the same.
        self._writers = [
            SummaryWriter(folder, filename_suffix=f".{step}", purge_step=purge)
            for folder in self._folders
        ]

    def add_steps(self, step: int, taken: int, curves: Mapping[str, np.ndarray]) -> None:
        """Write the curves (trial, step) of the steps that were taken after a step."""
        for trial, writer in enumerate(self._writers):
            for place in range(step, step + taken):
                for name, values in curves.items():
                    _scalar(writer, name, values[trial, place], place + 1)
                rate = self._learning_rates[trial, place]
                _scalar(writer, "learning_rate", rate, place + 1)

    def add_measurement(self, step: int, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what was measured after a step, with a leading trial axis."""
        for trial, writer in enumerate(self._writers):
            for path, values in measured["spectrum"].items():
                top = np.asarray(values[trial])
                _scalar(writer, f"sigma_1/{path}", top[..., 0].mean(), step)
                gain = np.asarray(measured["gain"][path][trial])
                _scalar(writer, f"gain/{path}", gain.mean(), step)
                if np.isfinite(top).all():
                    writer.add_histogram(f"spectrum/{path}", top.reshape(-1), step)


def _scalar(writer: SummaryWriter, tag: str, value: float, step: int) -> None:
    if np.isfinite(value):
        writer.add_scalar(tag, float(value), step)

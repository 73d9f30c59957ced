"""Checkpoints: everything a run needs to go on as if it had never stopped."""

import dataclasses
import logging
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from transfer.errors import TransferError
from transfer.models import Arrays
from transfer.training.history import History
from transfer.training.population import State

# Orbax tells every save at warning level and above what the progress line tells better.
logging.getLogger("absl").setLevel(logging.ERROR)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """State of the population, position in the data, and what was measured until then."""

    step: int
    state: State
    data: dict[str, Any]
    history: History


class Checkpoints:
    """The checkpoints of one run; written asynchronously, whole or not at all.

    The last two are kept. Use as a context: leaving it waits for the last write.
    """

    def __init__(self, folder: epath.PathLike):
        self._manager = ocp.CheckpointManager(
            epath.Path(folder).resolve(),
            options=ocp.CheckpointManagerOptions(max_to_keep=2, create=True),
            item_names=("state", "history", "data"),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    def save(self, snapshot: Snapshot) -> None:
        """Start writing a snapshot; returns as soon as its arrays have left the devices."""
        self._manager.save(
            snapshot.step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(snapshot.state),
                history=ocp.args.StandardSave(snapshot.history.to_tree()),
                data=ocp.args.JsonSave(snapshot.data),
            ),
        )

    def restore(self, state: State, history: History) -> Snapshot | None:
        """Return the latest snapshot, if any, in the shape and sharding of the arguments."""
        step = self._manager.latest_step()
        if step is None:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, (state, history.to_tree()))
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract[0]),
                history=ocp.args.StandardRestore(abstract[1]),
                data=ocp.args.JsonRestore(),
            ),
        )
        return Snapshot(
            step=step,
            state=restored["state"],
            data=restored["data"],
            history=history.with_tree(restored["history"]),
        )


def restore_parameters(folder: epath.PathLike) -> tuple[Arrays, Arrays]:
    """Return parameters and multipliers of the last checkpoint of a single run.

    Raises `TransferError` when there is no checkpoint, or when it holds several trials.
    """
    path = epath.Path(folder).resolve()
    steps = ocp.utils.checkpoint_steps(path) if path.exists() else []
    if not steps:
        raise TransferError(
            f"{folder} holds no checkpoint; expected those of a finished transfer train."
        )
    with ocp.StandardCheckpointer() as checkpointer:
        state = checkpointer.restore(path / str(max(steps)) / "state")
    if state["step"].shape != (1,):
        raise TransferError(
            f"{folder} holds a population of {state['step'].shape[0]} trials; expected one run."
        )
    trained = _with_places((state["parameters"], state["multipliers"]))
    return jax.tree.map(lambda leaf: np.asarray(leaf[0]), trained)


def _with_places(tree: Any) -> Any:
    """The tree with whole numbers for the places in a list of layers, which were read as text."""
    if isinstance(tree, tuple):
        return tuple(map(_with_places, tree))
    if not isinstance(tree, dict):
        return tree
    return {int(k) if k.isdigit() else k: _with_places(value) for k, value in tree.items()}

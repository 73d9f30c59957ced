"""Checkpoints: everything a run needs to go on as if it had never stopped, on this machine or on
another.

A checkpoint is a folder named by its step:

    STEP/state      arrays of all trials, split as they lay on the devices
    STEP/history    what was measured until then
    STEP/run        JSON: how many trials, the position in the data, digests of all the rest

It takes its name only once it is whole, so a killed writer leaves none. What storage does to it
later, the digests tell; what storage does not give for the moment is no damage.
"""

import contextlib
import dataclasses
import json
import logging
import zlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from transfer import pytree_paths
from transfer.distributed import exchange
from transfer.errors import TransferError
from transfer.models import Arrays
from transfer.termination import TerminatedError
from transfer.training.digests import checksum, digests
from transfer.training.history import History
from transfer.training.memory import DoesNotFitError
from transfer.training.orbax_logging import quiet_reads, quiet_saves
from transfer.training.state import State

_log = logging.getLogger(__name__)
# How TensorStore's errors begin where it could not read: too many open files, no permission, an
# error of the disk (UNKNOWN), a bucket that does not answer.
_PASSING = tuple(
    f"{status}: "
    for status in (
        "ABORTED",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "UNAVAILABLE",
        "UNKNOWN",
    )
)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """State of the population, position in the data, and what was measured until then."""

    step: int
    state: State
    data: dict[str, Any]
    history: History


class Checkpoints:
    """The checkpoints of one run; written asynchronously, whole or not at all.

    Use as a context: leaving it waits for the last write.

    Arguments:
      folder: of the run, on a disk or in a bucket that every process sees.
      keep: how many of the last are kept; the one before the last is what a run goes on from
        where the last is damaged.
      final: whether the last step of a run is saved too, for others to read.
    """

    def __init__(self, folder: epath.PathLike, *, keep: int = 2, final: bool = True):
        self.final = final
        self._folder = epath.Path(folder).resolve()
        self._quiet = contextlib.ExitStack()
        try:
            with quiet_saves():
                self._manager = ocp.CheckpointManager(
                    self._folder,
                    options=ocp.CheckpointManagerOptions(
                        max_to_keep=keep,
                        create=True,
                        cleanup_tmp_directories=True,
                        single_host_load_and_broadcast=True,
                    ),
                    item_names=("state", "history", "run"),
                )
        except OSError as error:
            raise self._unwritten(error) from error

    def __enter__(self) -> "Checkpoints":
        self._quiet.enter_context(quiet_saves())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._quiet:
            # A process that fails otherwise does so alone; the others would not be waited for.
            if jax.process_count() > 1 and kind not in (None, TerminatedError, DoesNotFitError):
                return
            try:
                self._manager.wait_until_finished()
            except (OSError, ValueError) as error:
                raise self._unwritten(error) from error
            finally:
                self._manager.close()

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps of which there are checkpoints."""
        return tuple(self._manager.all_steps())

    def save(self, snapshot: Snapshot) -> None:
        """Start writing a snapshot; returns as soon as its arrays have left the devices.

        Raises `TransferError` when this write, or the one before, cannot be done.
        """
        trials, history = snapshot.history.trials, snapshot.history.to_tree()
        content = {
            "trials": trials,
            "data": snapshot.data,
            "state": digests(snapshot.state, trials),
            "history": _checksums(history),
        }
        try:
            self._manager.save(
                snapshot.step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(snapshot.state),
                    history=ocp.args.StandardSave(history),
                    run=ocp.args.JsonSave(content | {"checksum": _checksum(content)}),
                ),
            )
        except (OSError, ValueError) as error:
            raise self._unwritten(error) from error

    def restore(self, state: State, history: History) -> Snapshot | None:
        """Return the latest snapshot that is whole, if any, in the sharding of the arguments.

        Of the state, shapes with shardings do: what is restored should be all that a device holds.
        Both may be made for other devices than those that wrote it, and the state for more or fewer
        of the trials that fill the mesh. A damaged checkpoint is told in a warning and deleted once
        an older one is found whole. Raises `TransferError` when there are checkpoints, but none is,
        and when one cannot be read for a reason that may pass.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self.steps, reverse=True):
            snapshot, reason = self._try(step, state, history)
            if snapshot is None:
                damaged[step] = reason
                continue
            for other, reason in damaged.items():
                _log.warning(
                    f"The checkpoint of step {other} in {self._folder} is damaged ({reason}); the "
                    f"run goes on from step {step}."
                )
                self._manager.delete(other)
            return snapshot
        if damaged:
            reasons = "; ".join(f"step {step}: {reason}" for step, reason in damaged.items())
            raise TransferError(
                f"No checkpoint in {self._folder} can be read ({reasons}); restore the folder, or "
                "remove it to start anew."
            )
        return None

    def _try(self, step: int, state: State, history: History) -> tuple[Snapshot | None, str]:
        """Return a snapshot, or None and why it is damaged: the same in every process."""
        content: dict[str, Any] = {}
        snapshot, reason, passing = None, "", False
        with quiet_reads():
            try:
                content, snapshot = self._read(step, state, history)
            except (jax.errors.JaxRuntimeError, MemoryError):
                raise
            except Exception as error:  # damaged files give errors of every kind
                reason, passing = _in_brief(error), _may_pass(error)
        failed, not_now = exchange.allgather_max(float(snapshot is None), float(passing))
        if failed or snapshot is None:
            reason = reason or "another process cannot read it"
            if not_now:
                raise _unreadable(self._folder / str(step), reason)
            return None, reason
        found = digests(snapshot.state, content["trials"])
        return (None, reason) if (reason := _differs(content["state"], found)) else (snapshot, "")

    def _read(self, step: int, state: State, history: History) -> tuple[dict[str, Any], Snapshot]:
        folder = self._folder / str(step)
        # By the handlers themselves: the manager would wait for the other processes, which a
        # damaged file may stop.
        content = _read_run(folder)
        tree = ocp.StandardCheckpointHandler().restore(
            folder / "history", args=ocp.args.StandardRestore(_abstract(history.to_tree()))
        )
        if reason := _differs(content["history"], _checksums(tree)):
            raise ValueError(reason)
        # Trials that fill up the mesh are as many as it needs, not as many as were written.
        restored = ocp.StandardCheckpointHandler().restore(
            folder / "state", args=ocp.args.StandardRestore(_abstract(state), strict=False)
        )
        return content, Snapshot(step, restored, content["data"], history.with_tree(tree))

    def _unwritten(self, error: Exception) -> TransferError:
        return TransferError(
            f"A checkpoint could not be written to {self._folder} ({_in_brief(error)}); expected a "
            "folder with space and write permission: make some, and the same command goes on."
        )


def restore_parameters(
    folder: epath.PathLike, *, steps_of_run: int | None = None
) -> tuple[Arrays, Arrays]:
    """Return parameters and multipliers of the last checkpoint of a single run, on this host.

    Raises `TransferError` when there is no checkpoint, when it is damaged or cannot be read now,
    when it holds several trials, or when it is not of the last of so many steps.
    """
    path = epath.Path(folder).resolve()
    if "\\" in str(path):
        raise TransferError(
            f"{folder} has a backslash in its path, which the library that reads checkpoints does "
            "not take; expected another path: move the run."
        )
    steps = ocp.utils.checkpoint_steps(path) if path.exists() else []
    if not steps:
        raise TransferError(
            f"{folder} holds no checkpoint; expected those of a finished transfer train."
        )
    if steps_of_run not in (None, max(steps)):
        raise TransferError(
            f"The last checkpoint in {folder} is of step {max(steps)} of {steps_of_run}; expected "
            "that of a finished run: run transfer train again, which goes on from there."
        )
    last, reason, passing = path / str(max(steps)), "", False
    with quiet_reads():
        try:
            content = _read_run(last)
            handler = ocp.PyTreeCheckpointHandler()
            on_host = jax.tree.map(
                lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
                handler.metadata(last / "state").tree,
            )
            state = handler.restore(
                last / "state", args=ocp.args.PyTreeRestore(restore_args=on_host)
            )
            trained = {name: state[name] for name in ("parameters", "multipliers")}
            found = digests(trained, content["trials"])
            reason = _differs({name: content["state"].get(name) for name in found}, found)
        except Exception as error:  # damaged files give errors of every kind
            reason, passing = _in_brief(error), _may_pass(error)
    if passing:
        raise _unreadable(last, reason)
    if reason:
        raise TransferError(
            f"The checkpoint {last} is damaged ({reason}); run transfer train again, which goes on "
            "from the one before."
        )
    if content["trials"] != 1:
        raise TransferError(
            f"{folder} holds a population of {content['trials']} trials; expected one run."
        )
    first = jax.tree.map(lambda leaf: np.asarray(leaf[0]), _with_places(trained))
    return first["parameters"], first["multipliers"]


def _read_run(folder: epath.Path) -> dict[str, Any]:
    content: dict[str, Any] = ocp.JsonCheckpointHandler().restore(
        folder / "run", args=ocp.args.JsonRestore()
    )
    if content.pop("checksum", None) != _checksum(content):
        raise ValueError("its list of digests is not as it was written")
    return content


def _checksum(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _checksums(tree: Any) -> dict[str, int]:
    return {path: checksum(leaf) for path, leaf in pytree_paths.leaves(tree).items()}


def _abstract(tree: Any) -> Any:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)


def _differs(written: dict[str, int], read: dict[str, int]) -> str:
    """Say what is not as it was written; empty where all is."""
    different = [path for path in {**written, **read} if written.get(path) != read.get(path)]
    return f"{different[0]} is not as it was written" if different else ""


def _may_pass(error: BaseException) -> bool:
    """Whether storage, or this process, could not read at all, which says nothing of what is there.

    A file that is not there, or is none, is damage.
    """
    damage = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
    causes: BaseException | None = error
    while causes is not None:
        if isinstance(causes, OSError) and not isinstance(causes, damage):
            return True
        if str(causes).startswith(_PASSING):
            return True
        causes = causes.__cause__ or causes.__context__
    return False


def _unreadable(folder: epath.Path, reason: str) -> TransferError:
    return TransferError(
        f"The checkpoint {folder} cannot be read now ({reason}); nothing is removed: mend what "
        "keeps it from being read, and the same command goes on from it."
    )


def _in_brief(error: BaseException) -> str:
    """The first line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return text[:200] or type(error).__name__


def _with_places(tree: Any) -> Any:
    """The tree with whole numbers for the places in a list of layers, which were read as text."""
    if not isinstance(tree, dict):
        return tree
    return {int(k) if k.isdigit() else k: _with_places(value) for k, value in tree.items()}

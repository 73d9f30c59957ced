"""Trains on meshes of eight devices and writes what they gave.

`-m training.eight_devices DIR` takes a sample of meshes, and all with `full` after the folder.
"""

import dataclasses
import functools
import json
import pathlib
import sys
from typing import Any
from unittest import mock

import jax
import numpy as np

from transfer import sharding
from transfer.pytree_paths import leaves
from transfer.sharding import MeshConfig, collectives

from .sharded import (
    MESHES,
    RESNET,
    SETTINGS,
    TRANSFORMER,
    Trained,
    initial,
    measuring,
    train,
    whole_run,
)

MODELS = {"transformer": TRANSFORMER, "resnet": RESNET}
# Whose states are no copies of a parameter's shape, or whose steps are no entry's own.
OPTIMIZERS = ("adafactor", "muon")
MIXED = "trial 2 x fsdp 2 x tensor 2"
# On which meshes residual networks train in a sample.
SAMPLE = ("fsdp 8", MIXED)


def main(folder: pathlib.Path, full: bool) -> None:
    said: dict[str, Any] = {}

    def keep(name: str, trained: Trained) -> None:
        np.savez(folder / f"{name}.npz", **trained.measured)
        said[name] = {
            "program": trained.program.as_text(),
            "parts": {
                path: [list(leaf.shape), list(leaf.addressable_shards[0].data.shape)]
                for path, leaf in leaves(trained.state).items()
            },
        }

    for kind, model in MODELS.items():
        start = initial(model, len(SETTINGS))
        keep(f"{kind}, one device", train(model, MeshConfig(), len(SETTINGS), start))
        for name, mesh in MESHES.items():
            if kind == "resnet" and name not in SAMPLE and not full:
                continue
            trials = {"trial 8": 8, MIXED: 2}.get(name, 1)
            keep(f"{kind}, {name}", train(model, mesh, trials, start))
            if kind == "transformer" and name == MIXED:
                keep(f"{kind}, {name}, vectorized", train(model, mesh, 4, start, "vectorized"))
            if kind == "transformer" and name == "fsdp 8":
                with mock.patch.object(collectives, "_reduce_scatter", _own_part):
                    keep(f"{kind}, {name}, unsummed", train(model, mesh, trials, start))
    rounded = dataclasses.replace(TRANSFORMER, dtype="bfloat16")
    start = initial(rounded, 1)
    for name, mesh in (("one device", MeshConfig()), ("fsdp 8", MESHES["fsdp 8"])):
        keep(f"bfloat16, {name}", train(rounded, mesh, 1, start))
    for optimizer in OPTIMIZERS:
        start = initial(TRANSFORMER, 2, optimizer=optimizer)
        for name, mesh in (("one device", MeshConfig()), (MIXED, MESHES[MIXED])):
            keep(f"{optimizer}, {name}", train(TRANSFORMER, mesh, 2, start, optimizer=optimizer))
    said["measuring"] = measuring(MESHES["fsdp 8"]).as_text()
    gathering = functools.partial(sharding.Rules, gathers=True)
    with mock.patch.object(sharding, "Rules", lambda mesh, gathers=True: gathering(mesh)):
        said["measuring, gathered"] = measuring(MESHES["fsdp 8"]).as_text()
    np.savez(folder / "whole run.npz", **whole_run(MESHES[MIXED]))
    (folder / "said.json").write_text(json.dumps(said))


def _own_part(part: jax.Array, names: Any, stored: Any) -> jax.Array:
    """A reduction that forgets what the other devices have."""
    place = stored.index("fsdp")
    length = part.shape[place] // 8
    start = jax.lax.axis_index("fsdp") * length
    return 8 * jax.lax.dynamic_slice_in_dim(part, start, length, axis=place)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), full="full" in sys.argv[2:])

"""Trains populations on four devices and writes what they gave: `-m training.four_devices DIR`."""

import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from compilation import compiled_once

from transfer.scaling import Hyperparameters
from transfer.sharding import MeshConfig
from transfer.training import Checkpoints, Outcome, Population

from .tiny import SETTINGS, Setting, train

POPULATIONS = (1, 2, 3, 4, 5)
STOP = 16
TRUNK = {"schedule": "constant", "warmup": 2, "horizons": (10, 20), "branch_steps": 4}


def settings(count: int) -> tuple[Setting, ...]:
    """Return as many settings, of two seeds from the second on."""
    more = tuple((Hyperparameters(learning_rate=2.0**-k), k % 2 * 3) for k in (7, 8))
    return (SETTINGS[0], SETTINGS[2], SETTINGS[1], *more)[:count]


def flat(outcome: Outcome) -> dict[str, np.ndarray]:
    """Return what was read off a trunk, by kind and metric."""
    read = outcome.horizons
    return {
        f"{kind} {name}": values
        for kind in ("average", "branch")
        for name, values in getattr(read, kind).items()
    }


def stop_after_checkpoint(fraction: float, loss: float) -> None:
    if fraction == 1.0:
        raise KeyboardInterrupt


def main(folder: pathlib.Path) -> None:
    compiled: list[Any] = []
    compile_population = Population.compile

    def keep(population, *arguments):
        compiled.append(compile_population(population, *arguments))
        return compiled[-1]

    Population.compile = keep
    said: dict[str, Any] = {"devices": jax.device_count()}
    for count in POPULATIONS:
        outcome = train(settings(count))
        leaf = jax.tree.leaves(outcome.state.parameters)[0]
        said[str(count)] = {
            "execution": outcome.execution,
            "devices": len(leaf.sharding.device_set),
            "rows": leaf.addressable_shards[0].data.shape[0],
            "program": compiled[-1].run.wait().as_text(),
        }
        np.savez(folder / f"{count}.npz", eval_loss=outcome.held_out["loss"], **outcome.history)
    trunk = train(settings(3), mesh=MeshConfig(fsdp=2), **TRUNK)
    np.savez(folder / "trunk.npz", **flat(trunk))
    parts = (trunk.state.parameters, trunk.state.average.parameters)
    said["trunk"] = [[str(leaf.sharding.spec) for leaf in jax.tree.leaves(part)] for part in parts]
    try:
        with Checkpoints(folder / "checkpoints") as checkpoints:
            train(
                settings(1),
                checkpoints=checkpoints,
                checkpoint_every=STOP,
                progress=stop_after_checkpoint,
            )
    except KeyboardInterrupt:
        (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    destination = pathlib.Path(sys.argv[1])
    with compiled_once(str(destination / "compiled")):
        main(destination)

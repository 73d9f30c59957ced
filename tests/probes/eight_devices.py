"""Prints what programs on eight devices communicate, as JSON: `-m probes.eight_devices [tpu]`.

With `tpu`, the devices are those of a described topology, for which programs are compiled alone.
"""

import json
import math
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transfer.probes import initial_vectors, measure_spectrum, top_singular_values
from transfer.scaling import Annotated, Axes, Layout

# A matrix, split heads on either side, stacked layers: each split along both of its sides.
KERNELS = {
    "up": ("embed -> ffn", (256, 512), ("fsdp", "tensor")),
    "query": ("layers | embed -> heads head_dim", (3, 256, 8, 16), (None, "fsdp", "tensor", None)),
    "out": ("layers | heads head_dim -> embed", (3, 8, 16, 256), (None, "tensor", None, "fsdp")),
    "stored out in": ("1 -> 0", (256, 512), ("fsdp", "tensor")),
}
COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)


def layout() -> Layout:
    annotated = {
        path: Annotated(axes=Axes.parse(axes), shape=shape, gain=1.0)
        for path, (axes, shape, _) in KERNELS.items()
    }
    wider = {
        path: Annotated(
            axes=each.axes,
            shape=tuple(
                size if name in each.axes.stack else 2 * size
                for name, size in zip(Axes.parse(KERNELS[path][0]).names, each.shape, strict=True)
            ),
            gain=1.0,
        )
        for path, each in annotated.items()
    }
    return Layout.compare(base=annotated, probe=wider, target=annotated)


def largest(program: str) -> dict[str, int]:
    """The elements of the largest array that each kind of communication gives a device."""
    sizes: dict[str, int] = {}
    for result, kind in COLLECTIVE.findall(program):
        for shape in re.findall(r"\w+\[([\d,]*)\]", result):
            size = math.prod(map(int, shape.split(","))) if shape else 1
            sizes[kind] = max(size, sizes.get(kind, 0))
    return sizes


def main(devices: np.ndarray) -> None:
    mesh, parameters = Mesh(devices.reshape(4, 2), ("fsdp", "tensor")), layout()

    def described(shape: tuple[int, ...], split: tuple[str | None, ...] = ()):
        sharding = NamedSharding(mesh, PartitionSpec(*split))
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)

    weights = {path: described(shape, split) for path, (_, shape, split) in KERNELS.items()}
    drawn = jax.eval_shape(lambda: initial_vectors(parameters, 4, jax.random.key(0)))
    start = {path: described(each.shape) for path, each in drawn.items()}
    measure = jax.jit(lambda w, v: measure_spectrum(w, parameters, v, pairs=4))
    exact = jax.jit(lambda w: top_singular_values(w, parameters))
    programs = {"lanczos": measure.lower(weights, start), "exact": exact.lower(weights)}
    said = {name: largest(each.compile().as_text()) for name, each in programs.items()}
    print(json.dumps(said))


if __name__ == "__main__":
    if sys.argv[1:] == ["tpu"]:
        from jax.experimental import topologies

        topology = topologies.get_topology_desc("v5e:4x2", platform="tpu")
        main(np.array(topology.devices))
    else:
        main(np.array(jax.devices()))

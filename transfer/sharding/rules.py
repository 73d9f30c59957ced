"""How every logical axis is laid on the mesh: the one page of sharding rules.

A mesh has four axes. Different trials are sharded over `trial` and never communicate. Each batch is
sharded over `data` and `fsdp`; `fsdp` also shards parameters and optimizer state, which a layer
gathers when it runs. `tensor` shards heads, feed-forward channels and the vocabulary, weights and
activations alike.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transfer.errors import TransferError
from transfer.pytree_paths import map_leaves
from transfer.scaling import Axes, Layout, Parameter
from transfer.sharding.mesh_shape import DATA, FSDP, TENSOR, TRIAL

# The mesh axis that shards each axis in a parameter's annotation. Other axes are replicated, and so
# are parameters that are no factor of a product, because gains and biases are small.
PARAMETERS: Mapping[str, str] = {
    "embed": FSDP,
    "heads": TENSOR,
    "kv_heads": TENSOR,
    "feed_forward": TENSOR,
    "vocab": TENSOR,
    "in_channels": FSDP,
    "out_channels": TENSOR,
    "channels": FSDP,
}
# The mesh axes that shard each axis that a model names of its activations.
ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "batch": (DATA, FSDP),
    "heads": (TENSOR,),
    "kv_heads": (TENSOR,),
    "feed_forward": (TENSOR,),
    "vocab": (TENSOR,),
    "channels": (TENSOR,),
}


def per_trial(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays (trial, ...), sharded over the trial alone."""
    return NamedSharding(mesh, PartitionSpec(TRIAL))


def batches(mesh: Mesh) -> NamedSharding:
    """Return the sharding of batches (steps, seeds, batch, ...), shared by the trials of a seed."""
    return NamedSharding(mesh, PartitionSpec(None, None, (DATA, FSDP)))


def eval_batches(mesh: Mesh) -> NamedSharding:
    """Return the sharding of held-out batches (steps, batch, ...), shared by all trials."""
    return NamedSharding(mesh, PartitionSpec(None, (DATA, FSDP)))


def parameter_spec(parameter: Parameter, mesh: Mesh) -> PartitionSpec:
    """Return how a parameter is sharded, by its annotation; each mesh axis shards one of its axes.

    An axis that does not grow with width (the vocabulary, an image's channels) stays whole where
    its size does not divide; raises `TransferError` for one that grows.
    """
    spec = Rules(mesh).stored(parameter.axes, parameter.shape)
    for name, place in zip(parameter.axes.names, parameter.axes.places, strict=True):
        along, size = PARAMETERS.get(name), parameter.shape[place]
        if parameter.axes.inputs is None or along is None or not parameter.growing[place]:
            continue
        if size % mesh.shape[along]:
            raise TransferError(
                f"mesh.{along} is {mesh.shape[along]}, which does not divide the axis {name} of "
                f"{parameter.path}, of size {size}; expected a divisor."
            )
    return spec


def spread(leaf: Any, mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array (trial, ...) without named axes, such as singular vectors.

    `fsdp` shards the last axis that it divides, so that the vectors of a matrix take no more memory
    than the matrix.
    """
    spec: list[str | None] = [None] * (len(leaf.shape) - 1)
    for place in reversed(range(len(spec))):
        if leaf.shape[1 + place] % mesh.shape[FSDP] == 0:
            spec[place] = FSDP
            break
    return NamedSharding(mesh, PartitionSpec(TRIAL, *spec))


def state_shardings(state: Any, parameters: Layout, mesh: Mesh) -> Any:
    """Return the sharding of every leaf (trial, ...) of a population's parameters or state.

    A leaf whose path ends in a parameter's path, and whose shape is the parameter's, is sharded as
    the parameter is; the others (counts, factored second moments, statistics) are small and
    replicated within each trial.

    Example:
      >>> import jax
      >>> from transfer.models import TransformerConfig, model_layout
      >>> from transfer.sharding import make_mesh
      >>> layout = model_layout(TransformerConfig(width=64), base_width=16).parameters
      >>> mesh = make_mesh(trials=1, batch_size=4, devices=jax.devices()[:1])
      >>> moment = jax.ShapeDtypeStruct((1, *layout["readout.kernel"].shape), "float32")
      >>> state_shardings({"mu": {"readout": {"kernel": moment}}}, layout, mesh)["mu"]["readout"]
      {'kernel': NamedSharding(...P('trial', None, None)...)}
    """

    def sharding(path: str, leaf: Any) -> NamedSharding:
        names, spec = path.split("."), PartitionSpec()
        for start in range(len(names)):
            parameter = parameters.parameters.get(".".join(names[start:]))
            if parameter is not None and parameter.shape == leaf.shape[1:]:
                spec = parameter_spec(parameter, mesh)
        return NamedSharding(mesh, PartitionSpec(TRIAL, *spec))

    return map_leaves(sharding, state)


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rules of this page on one mesh; `transfer.sharding.collectives` asks them in a model.

    An axis whose size the mesh does not divide is replicated. The trial axis does not appear,
    because a model inside a population's program does not see it. Without `gathers`, weights stay
    sharded where they are used.
    """

    mesh: Mesh
    gathers: bool = True

    def activation(self, names: tuple[str, ...], shape: tuple[int, ...]) -> PartitionSpec:
        """Return the spec of an activation with these axis names, by `ACTIVATIONS`."""
        return self._spec(shape, {i: ACTIVATIONS.get(name, ()) for i, name in enumerate(names)})

    def stored(self, axes: Axes, shape: tuple[int, ...]) -> PartitionSpec:
        """Return the spec in which a weight and its gradient are stored, by `PARAMETERS`."""
        return self._weight(axes, shape, (FSDP, TENSOR))

    def used(self, axes: Axes, shape: tuple[int, ...]) -> PartitionSpec:
        """Return the spec in which a product uses a weight: as stored, but gathered over `fsdp`."""
        return self._weight(axes, shape, (TENSOR,) if self.gathers else (FSDP, TENSOR))

    def _weight(
        self, axes: Axes, shape: tuple[int, ...], splitting: tuple[str, ...]
    ) -> PartitionSpec:
        if axes.inputs is None:
            return self._spec(shape, {})
        split = {
            place: (along,)
            for name, place in zip(axes.names, axes.places, strict=True)
            if (along := PARAMETERS.get(name)) in splitting
        }
        return self._spec(shape, split)

    def _spec(self, shape: tuple[int, ...], split: Mapping[int, tuple[str, ...]]) -> PartitionSpec:
        spec: list[Any] = [None] * len(shape)
        left = {name for name, size in self.mesh.shape.items() if size > 1}
        for place, along in split.items():
            along = tuple(name for name in along if name in left)
            if along and shape[place] % math.prod(self.mesh.shape[name] for name in along) == 0:
                spec[place] = along[0] if len(along) == 1 else along
                left -= set(along)
        return PartitionSpec(*spec)

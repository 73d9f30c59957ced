"""How a run lies on the devices: rules from logical axes to the axes of a mesh.

A mesh has four axes. Along `trial` lie different trials, which never communicate. Along `data` and
`fsdp` lies each batch; `fsdp` also splits parameters and optimizer state, which are gathered a
layer at a time. `tensor` splits heads, feed-forward channels and the vocabulary, weights and
activations alike.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from transfer.errors import TransferError
from transfer.paths import map_leaves
from transfer.scaling import Axes, Layout, Parameter
from transfer.training.mesh_shape import AXES, DATA, FSDP, TENSOR, TRIAL, MeshConfig, Wanted, left

# By the axes in a parameter's annotation. An axis that is not here stays whole, and so does a
# parameter that is no factor of a product: gains and biases are small.
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
# By the axes that a model names of its activations.
ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "batch": (DATA, FSDP),
    "heads": (TENSOR,),
    "kv_heads": (TENSOR,),
    "feed_forward": (TENSOR,),
    "vocab": (TENSOR,),
    "channels": (TENSOR,),
}
# A parameter in float32, its gradient, and the two averages of Adam.
_BYTES_PER_PARAMETER = 16
# What a trial's state may take of a device's memory before it is split; activations need the rest.
_SHARE = 0.5


def make_mesh(
    config: MeshConfig = MeshConfig(),
    *,
    trials: int,
    batch_size: int,
    parameters: Layout = Layout({}),
    devices: Sequence[jax.Device] | None = None,
    memory: float | None = None,
) -> Mesh:
    """Lay devices out as (trial, data, fsdp, tensor).

    What the configuration leaves open is chosen from the number of devices: as many along `trial`
    as there are trials, for they need no communication; the rest share each trial's batch, as many
    as divide it, along `data` while the states of a device's trials take up to half of it, else
    along `fsdp`, as few as bring them there. Fewer lie along `trial` where that many take twice as
    long, for all the devices that they leave idle, do not fit, or leave a process without a device.
    Where `data` is given, what shares the batch lies along `fsdp`. Along `tensor` lies 1. A trial
    axis longer than the number of trials is filled by repeating the last one.

    Arguments:
      trials: of the largest population.
      batch_size: of the examples that pass through the model at once.
      parameters: which have to be split.
      devices: of one kind; by default all. Those of a TPU are laid out along its torus.
      memory: bytes of a device; by default what the device says, and no limit if it says nothing.

    Raises:
      TransferError: a size that does not divide the devices, the batch, or an axis of a parameter
        that grows with width and that a rule splits; a process without a device in the mesh.

    Example:
      >>> make_mesh(trials=1, batch_size=16, devices=jax.devices()[:1]).axis_names
      ('trial', 'data', 'fsdp', 'tensor')
    """
    devices = jax.devices() if devices is None else list(devices)
    given = {name: size for name in AXES if (size := getattr(config, name))}
    available = left(given, len(devices))
    along_batch = given.get(DATA, 1) * given.get(FSDP, 1)
    if batch_size % along_batch:
        raise TransferError(
            f"mesh.data x mesh.fsdp is {along_batch}, which does not divide the {batch_size} "
            "examples that pass through the model at once (data.batch_size over "
            "training.microbatches); expected a divisor."
        )
    count = sum(math.prod(each.shape) for each in parameters.values())
    wanted = Wanted(
        given=given,
        left=available,
        trials=trials,
        examples=batch_size // along_batch,
        splittable=math.gcd(*_sizes(parameters, FSDP)),
        state=_BYTES_PER_PARAMETER * count / given.get(TENSOR, 1),
        room=_SHARE * (memory or _memory(devices[0])),
    )
    shape = wanted.chosen(lambda shape: _without(devices[: math.prod(shape)], devices) == 0)
    used = devices[: math.prod(shape)]
    if idle := _without(used, devices):
        raise TransferError(
            f"A mesh of {' x '.join(map(str, shape))} devices (trial, data, fsdp, tensor) leaves "
            f"{idle} processes without one; expected fewer processes, or a batch size and a "
            "number of trials that more devices divide."
        )
    mesh = Mesh(_laid_out(used, len(used) == len(devices), shape), AXES)
    for parameter in parameters.values():
        parameter_spec(parameter, mesh)
    return mesh


def per_trial(mesh: Mesh) -> NamedSharding:
    """Arrays whose leading axis is the trial, and which are otherwise whole."""
    return NamedSharding(mesh, PartitionSpec(TRIAL))


def batches(mesh: Mesh) -> NamedSharding:
    """Arrays (steps, seeds, batch, ...), the same for every trial of a seed."""
    return NamedSharding(mesh, PartitionSpec(None, None, (DATA, FSDP)))


def eval_batches(mesh: Mesh) -> NamedSharding:
    """Arrays (steps, batch, ...), the same for every trial."""
    return NamedSharding(mesh, PartitionSpec(None, (DATA, FSDP)))


def parameter_spec(parameter: Parameter, mesh: Mesh) -> PartitionSpec:
    """How a parameter is split, by the axes in its annotation; each axis of the mesh splits one.

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
    """Arrays (trial, ...) without named axes: split along `fsdp` by the last axis that it divides.

    So singular vectors take no more memory than what they are of.
    """
    spec: list[str | None] = [None] * (len(leaf.shape) - 1)
    for place in reversed(range(len(spec))):
        if leaf.shape[1 + place] % mesh.shape[FSDP] == 0:
            spec[place] = FSDP
            break
    return NamedSharding(mesh, PartitionSpec(TRIAL, *spec))


def state_shardings(state: Any, parameters: Layout, mesh: Mesh) -> Any:
    """How a population's arrays lie, parameters or an optimizer's state: (trial, ...), by leaf.

    A leaf whose path ends in a parameter's, and whose shape is the parameter's, lies as it does;
    what is left (counts, factored second moments, statistics) is small and whole in each trial.

    Example:
      >>> from transfer.models import TransformerConfig, model_layout
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
    """The rules of this page on one mesh, as a `transfer.models.partition.Partition`.

    An axis whose size does not divide stays whole, and so does a trial's own axis: inside the
    program of a population there is none. Unless it `gathers`, weights stay where they are.
    """

    mesh: Mesh
    gathers: bool = True

    def activation(self, names: tuple[str, ...], shape: tuple[int, ...]) -> PartitionSpec:
        """Batches lie along `data` and `fsdp`, what weights split along `tensor` too."""
        return self._spec(shape, {i: ACTIVATIONS.get(name, ()) for i, name in enumerate(names)})

    def stored(self, axes: Axes, shape: tuple[int, ...]) -> PartitionSpec:
        """By `PARAMETERS`."""
        return self._weight(axes, shape, (FSDP, TENSOR))

    def used(self, axes: Axes, shape: tuple[int, ...]) -> PartitionSpec:
        """As stored, but gathered from all along `fsdp`."""
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


def _sizes(parameters: Layout, along: str) -> list[int]:
    """The sizes of all axes that have to divide."""
    return [
        parameter.shape[place]
        for parameter in parameters.values()
        if parameter.axes.inputs is not None
        for name, place in zip(parameter.axes.names, parameter.axes.places, strict=True)
        if PARAMETERS.get(name) == along and parameter.growing[place]
    ]


def _memory(device: Any) -> float:
    """Bytes of a device; infinite where it does not say, as CPUs and described devices do not."""
    if jax.process_count() > 1 and device in jax.devices():
        device = jax.local_devices()[0]  # the only ones that can be asked, and of the same kind
    statistics = device.memory_stats() if hasattr(device, "memory_stats") else None
    limit = (statistics or {}).get("bytes_limit", math.inf)
    # All processes have to come to the same mesh, whatever a few of their bytes are used for.
    return limit if math.isinf(limit) else 2.0**30 * round(limit / 2**30)


def _without(used: Sequence[jax.Device], devices: Sequence[jax.Device]) -> int:
    """How many processes have none of the devices that are used."""
    return len({each.process_index for each in devices} - {each.process_index for each in used})


def _laid_out(used: Sequence[jax.Device], all_there_are: bool, shape: tuple[int, ...]) -> Any:
    """Neighbours in the mesh are neighbours in the machine, where all of it is used."""
    if all_there_are:
        return mesh_utils.create_device_mesh(shape, used, allow_split_physical_axes=True)
    return np.array(used).reshape(shape)

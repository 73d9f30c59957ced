"""The plan of one program: what it takes of a chip, what it costs, how long a step is at best."""

import dataclasses
import heapq
import math
from typing import Any

import jax
from jax.sharding import Mesh

from transfer.models import TransformerConfig, count, parameter_count
from transfer.plan import hlo
from transfer.plan.cost import Cost, cost
from transfer.plan.estimate import CostEstimate, Exchange, estimate, exchanges
from transfer.plan.least import LeastTraffic, least_traffic
from transfer.plan.memory import Memory, memory
from transfer.plan.program import Program, compile_group
from transfer.tpu.topology import Topology
from transfer.training import Population, TrialGroup
from transfer.training.memory import device_bytes
from transfer.training.task import Batch

# How many functions are named by the bytes that they move.
_ORIGINS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A group of trials on a slice.

    Fields:
      mesh: devices along every axis.
      parameters: of one trial.
      model_flops: of a step of all trials: 3 times the products of a forward pass, of attention
        those that the causal mask leaves.
      own_flops: the share of a device, at most what is compiled for it, which leaves out products
        with the padding of images and the gradient of what a model is given.
      compiled_flops: what a device computes in a step.
      least: the bytes between a device and its memory that no schedule of a step can save.
      bytes: those that the compiled program moves.
      origins: the functions that move most of them, with the bytes of each.
      steps: of a run, with those of its branches.
      unknown: kernels whose FLOPs are not counted.
      open: loops of unknown length, but that over steps, of which one trip is counted.
      seconds: that compiling took.
    """

    topology: Topology
    width: int
    recipe: str
    trials: int
    steps: int
    execution: str
    mesh: dict[str, int]
    batch_size: int
    parameters: int
    memory: Memory
    model_flops: float
    own_flops: float
    compiled_flops: float
    least: LeastTraffic
    bytes: float
    origins: dict[str, float]
    unknown: tuple[str, ...]
    open: tuple[str, ...]
    exchanges: tuple[Exchange, ...]
    estimate: CostEstimate
    traced: float
    seconds: float

    @property
    def idle(self) -> int:
        """Chips of the slice on which nothing runs."""
        devices = math.prod(self.mesh.values())
        return self.topology.chips - math.ceil(devices / self.topology.chip.devices)

    @property
    def chip_hours(self) -> float:
        """Of the whole run at the speed of the roofline, which no run reaches, and idle chips."""
        return self.topology.chips * self.steps * self.estimate.step / 3600

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        content = dataclasses.asdict(self) | {"topology": str(self.topology)}
        content["memory"] |= {"total": self.memory.total}
        content["least"] |= {"total": self.least.total}
        content["estimate"] |= {
            "step": self.estimate.step,
            "apart": self.estimate.apart,
            "bound": self.estimate.bound,
            "utilisation": self.estimate.utilisation,
        }
        return content | {
            "chips": self.topology.chips,
            "idle": self.idle,
            "chip_hours": self.chip_hours,
        }


def make_plan(group: TrialGroup, topology: Topology, mesh: Mesh | None = None) -> Plan:
    """Compile the program that trains a group on a slice, on its own mesh or this one, and read it.

    Raises:
      TransferError: the group does not fit the slice's devices, or libtpu is missing.
      TooLargeError: its memory.
    """
    return read_program(group, topology, compile_group(group, topology, mesh))


def read_program(group: TrialGroup, topology: Topology, program: Program) -> Plan:
    """Read a compiled program."""
    mesh = program.population.mesh
    shape = dict(mesh.shape)
    devices = math.prod(shape.values())
    total: Cost = cost(hlo.parse(program.text), devices)
    messages = exchanges(total, topology, shape, mesh.devices)
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), program.arguments[2]
    )
    model_flops = len(group.trials) * step_flops(program.population, batch)
    own_flops = min(model_flops / devices, total.flops)
    held = memory(program, topology.chip.usable * 2**30 - _trunk(group, program))
    least = least_traffic(program, held, topology.chip.on_chip * 2**20)
    return Plan(
        topology=topology,
        width=group.shape.width,
        recipe=group.recipe_names,
        trials=len(group.trials),
        steps=program.population.steps + group.training.all_branch_steps,
        execution=program.population.execution,
        mesh=shape,
        batch_size=program.batch_size,
        parameters=parameter_count(program.population.layout.parameters),
        memory=held,
        model_flops=model_flops,
        own_flops=own_flops,
        compiled_flops=total.flops,
        least=least,
        bytes=total.bytes,
        origins=dict(heapq.nlargest(_ORIGINS, total.origins.items(), key=lambda each: each[1])),
        unknown=tuple(total.unknown),
        # The loop over steps comes first: all others are inside.
        open=tuple(total.open[1:]),
        exchanges=tuple(messages),
        estimate=estimate(total, least.total, messages, topology, own_flops),
        traced=program.traced,
        seconds=program.seconds,
    )


def _trunk(group: TrialGroup, program: Program) -> int:
    """Bytes of a device that the trunks of its trials take beside their branches."""
    if not group.training.branch_steps:
        return 0
    return device_bytes(program.arguments[0], program.compiled.input_shardings[0][0])


def step_flops(population: Population, batch: Batch) -> float:
    """FLOPs of a training step of one trial: 3 times the products of a forward pass.

    A causal mask leaves T (T + 1) / 2 of the T x T pairs of tokens, and those alone are the
    model's; its kernel leaves out the others but for blocks on the diagonal. `batch` holds the
    shapes of one.
    """
    inputs, _ = jax.eval_shape(population.task.split, batch)
    model = population.model.plain()
    forward = count(model, inputs).flops
    if not isinstance(model, TransformerConfig):
        return 3.0 * forward
    examples, time = inputs.shape
    # The products q k^T and p v, of all pairs.
    pairs = 2 * 2 * examples * time**2 * model.query_heads * model.size_per_head * model.layers
    return 3.0 * (forward - pairs * (time - 1) / (2 * time))

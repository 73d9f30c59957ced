"""What a program keeps in the memory of a device."""

import dataclasses
import math
from typing import Any

import jax

from transfer.plan.activations import traced_activations
from transfer.plan.program import Program


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one device.

    Fields:
      parameters, optimizer: of the trials that it trains, or its part of them.
      inputs: all else that the program is given: batches, multipliers, what is measured from, and
        the padding of everything to the tiles of the layout.
      temporaries: what it makes and drops, as the compiler adds it up, the room between included.
      activations: what a forward pass keeps for the way back, by the trace. The compiler keeps it
        among the temporaries, or less where it fuses or computes again.
      code: the program itself.
      peak: the most that is in use at once of what it is given and of temporaries.
      limit: what a program may take.
    """

    parameters: float
    optimizer: float
    inputs: float
    temporaries: float
    activations: float
    code: float
    peak: float
    limit: float

    @property
    def in_use(self) -> float:
        """Temporaries where most is in use."""
        return self.peak - self.parameters - self.optimizer - self.inputs

    @property
    def total(self) -> float:
        """What is held against the limit: a program is refused where this would be above it."""
        return self.peak + self.code


def memory(program: Program, limit: float) -> Memory:
    """Read off what a program takes of each device."""
    state, *_ = program.arguments
    shardings, *_ = program.compiled.input_shardings[0]
    analysis = program.compiled.memory_analysis()
    assert analysis is not None  # the compiler for TPUs has one
    parameters, optimizer = (
        _bytes(getattr(state, part), getattr(shardings, part))
        for part in ("parameters", "optimizer")
    )
    # What is given back lies where what was given lay.
    new = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return Memory(
        parameters=parameters,
        optimizer=optimizer,
        inputs=analysis.argument_size_in_bytes + new - parameters - optimizer,
        temporaries=analysis.temp_size_in_bytes,
        activations=traced_activations(program),
        code=analysis.generated_code_size_in_bytes,
        peak=analysis.peak_memory_in_bytes,
        limit=limit,
    )


def _bytes(tree: Any, shardings: Any) -> float:
    """Bytes of a device's own part of arrays."""

    def part(leaf: Any, sharding: jax.sharding.Sharding) -> float:
        return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(part, tree, shardings)), 0.0)

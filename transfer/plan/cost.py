"""What a compiled program costs a device: products, traffic with memory, messages, all by trips.

XLA's own analysis counts the body of a loop once, and nothing inside a kernel.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from transfer.plan.collectives import Collective, collective
from transfer.plan.hlo import Buffer, Computation, Instruction, Module
from transfer.plan.loops import trips
from transfer.plan.products import flops

# What moves nothing: names for parts of other buffers, and where an exchange ends.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier",
    "partition-id", "replica-id", "add-dependency", "while", "conditional", "domain",
}  # fmt: skip
# Custom calls that name a place or a promise.
_FREE_CALLS = ("AllocateBuffer", "ConcatBitcast", "AssumeGather", "PrepareAsyncCall")
# Collectives that return what they are given beside what they make of it; the others return that.
_RETURN_OPERANDS = ("all-gather-start", "collective-permute-start")
_SLICES = ("slice", "dynamic-slice", "gather")
# What runs a computation once, maybe beside the others: "call-start" on a SparseCore.
_CALLS = ("call", "call-start", "async-start")
_LAZY = {"bitcast", "convert", "copy", "reshape", "transpose"}


@dataclasses.dataclass
class Cost:
    """Totals of one device.

    Fields:
      flops: of matrix products and convolutions.
      bytes: read from and written to the main memory, by instructions one by one.
      messages: collectives, and how often each happens.
      open: loops whose length only a run tells, whose bodies count once, outer ones first.
      unknown: kernels whose FLOPs are not known, and not counted.
    """

    flops: float = 0.0
    bytes: float = 0.0
    messages: Counter[Collective] = dataclasses.field(default_factory=Counter)
    open: list[str] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)


def cost(module: Module, devices: int) -> Cost:
    """Add up a program for one of so many devices.

    The body of a loop counts as often as it runs, of a conditional's branches the costliest counts.
    Where the length of a loop is an argument of the program, as the number of steps is of the one
    that trains a population, its body counts once: the cost is that of a step.
    """
    total = Cost()
    _add(total, module, module.entry, 1, devices)
    return total


def _add(total: Cost, module: Module, computation: Computation, times: float, devices: int) -> None:
    for instruction in computation:
        _add_own(total, module, instruction, computation, times, devices)
        if instruction.operation == "while":
            found = trips(module, instruction, computation)
            if found is None:
                total.open.append(instruction.name)
            (body,) = instruction.called("body")
            repeated = times * (1 if found is None else found)
            _add(total, module, module.computations[body], repeated, devices)
        elif instruction.operation == "conditional":
            _add_branch(total, module, instruction, times, devices)
        elif instruction.operation in _CALLS:
            for name in instruction.called("to_apply") + instruction.called("calls"):
                _add(total, module, module.computations[name], times, devices)
        elif instruction.operation == "fusion":
            (inside,) = instruction.called("calls")
            _add_inside(total, module, module.computations[inside], times, devices)
        total.bytes += times * _traffic(module, instruction, computation)


def _add_own(
    total: Cost,
    module: Module,
    instruction: Instruction,
    computation: Computation,
    times: float,
    devices: int,
) -> None:
    own = flops(instruction, computation)
    if own is None:
        total.unknown.append(instruction.name)
    total.flops += times * (own or 0.0)
    if message := collective(instruction, computation, devices):
        total.messages[message] += round(times)


def _add_inside(
    total: Cost, module: Module, computation: Computation, times: float, devices: int
) -> None:
    """Add what a fusion computes; what it moves is between its ends."""
    for instruction in computation:
        _add_own(total, module, instruction, computation, times, devices)
        if instruction.operation == "fusion":
            (inside,) = instruction.called("calls")
            _add_inside(total, module, module.computations[inside], times, devices)


def _add_branch(
    total: Cost, module: Module, instruction: Instruction, times: float, devices: int
) -> None:
    names = instruction.called("branch_computations") or (
        *instruction.called("true_computation"),
        *instruction.called("false_computation"),
    )
    branches = []
    for name in names:
        branch = Cost()
        _add(branch, module, module.computations[name], times, devices)
        branches.append(branch)
    costliest = max(branches, key=lambda branch: (branch.flops, branch.bytes))
    total.flops += costliest.flops
    total.bytes += costliest.bytes
    total.messages += costliest.messages
    total.open += costliest.open
    total.unknown += costliest.unknown


def _traffic(module: Module, instruction: Instruction, computation: Computation) -> float:
    """Bytes that an instruction moves to and from the main memory."""
    operation = instruction.operation
    if operation in _FREE or operation in _CALLS or operation.endswith(("-done", "-update")):
        return 0.0
    if operation == "custom-call" and any(each in instruction.attributes for each in _FREE_CALLS):
        return 0.0
    read, written = computation.buffers(instruction), instruction.outputs
    if operation == "fusion":
        (inside,) = instruction.called("calls")
        return _fusion_traffic(module.computations[inside], read, written)
    if operation.removesuffix("-start") in _SLICES:
        # Nothing is read but the slice. A start returns what it is of, the slice, and a flag.
        part = written[1:2] if operation.endswith("-start") else written
        return _main(part) + _part(read[0], part) + _main(read[1:])
    if operation == "copy-start":
        return _main(written[:2])
    if operation == "dynamic-update-slice":
        return 2 * _main(read[1:2])
    if operation == "scatter":
        return _main(read[1:]) + _main(read[-1:])
    if operation in _RETURN_OPERANDS:
        return _main(written[: 2 * len(read)])
    return _main([*read, *written])


def _fusion_traffic(inside: Computation, read: list[Buffer], written: tuple[Buffer, ...]) -> float:
    """A fusion reads the slices that it takes of an operand, and writes those that it updates."""
    moved = 0.0
    for parameter, buffer in zip(inside.parameters, read, strict=False):
        slices = _slices(inside, parameter)
        moved += _main([buffer]) if slices is None else min(slices, 1.0) * _main([buffer])
    root = inside.root
    roots = [root]
    if root.operation == "tuple":
        roots = [inside.instructions[name] for name in root.operands]
    for result, buffer in zip(roots, written, strict=False):
        while result.operation in _LAZY and result.operands:
            result = inside.instructions[result.operands[0]]
        share = 1.0
        if result.operation == "dynamic-update-slice":
            update = inside.instructions[result.operands[1]].outputs[0]
            share = math.prod(update.shape) / max(1, math.prod(buffer.shape))
        moved += share * _main([buffer])
    return moved


def _slices(inside: Computation, parameter: Instruction) -> float | None:
    """The share of a parameter that a fusion reads; None where it reads all of it."""
    whole, share = math.prod(parameter.outputs[0].shape) or 1, 0.0
    pending = [parameter]
    while pending:
        instruction = pending.pop()
        for user in inside.users[instruction.name]:
            first = user.operands[0] == instruction.name
            if user.operation in _SLICES and first:
                share += math.prod(user.outputs[0].shape) / whole
            elif user.operation == "dynamic-update-slice" and first:
                continue  # what is not updated stays where it is
            elif user.operation in _LAZY:
                pending.append(user)
            else:
                return None
    return share


def _part(buffer: Buffer, outputs: Sequence[Buffer]) -> float:
    """Bytes of a part as large as the outputs, read from where the whole lies."""
    return sum(output.size for output in outputs) if buffer.space == 0 else 0.0


def _main(buffers: Sequence[Buffer]) -> float:
    return sum(buffer.size for buffer in buffers if buffer.space == 0)

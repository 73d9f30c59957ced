"""What a compiled program costs a device: products, traffic with memory, messages, all by trips.

XLA's own analysis counts the body of a loop once, and nothing inside a kernel.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator

from transfer.plan.collectives import Collective, collective
from transfer.plan.hlo import Computation, Instruction, Module
from transfer.plan.loops import trips
from transfer.plan.products import flops
from transfer.plan.traffic import traffic

# What runs a computation once, maybe beside the others: "call-start" on a SparseCore.
_CALLS = ("call", "call-start", "async-start")
# Where an instruction comes from: the path of JAX's operation, and the stack of Python's calls.
_OPERATION = re.compile(r'op_name="([^"]*)"')
_FRAME = re.compile(r"stack_frame_id=(\d+)")


@dataclasses.dataclass
class Cost:
    """Totals of one device.

    Fields:
      flops: of matrix products and convolutions.
      bytes: read from and written to the main memory, by instructions one by one.
      origins: the same bytes by the instructions' `origin`.
      messages: collectives, and how often each happens.
      open: loops whose length only a run tells, whose bodies count once, outer ones first.
      unknown: kernels whose FLOPs are not known, and not counted.
    """

    flops: float = 0.0
    bytes: float = 0.0
    origins: dict[str, float] = dataclasses.field(default_factory=dict)
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


def _add(
    total: Cost,
    module: Module,
    computation: Computation,
    times: float,
    devices: int,
) -> None:
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
            _add_inside(total, module, module.inside(instruction), times, devices)
        if moved := times * traffic(module, instruction, computation):
            total.bytes += moved
            name = origin(instruction, module)
            total.origins[name] = total.origins.get(name, 0.0) + moved


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
            _add_inside(total, module, module.inside(instruction), times, devices)


def _add_branch(
    total: Cost,
    module: Module,
    instruction: Instruction,
    times: float,
    devices: int,
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
    for name, moved in costliest.origins.items():
        total.origins[name] = total.origins.get(name, 0.0) + moved
    total.messages += costliest.messages
    total.open += costliest.open
    total.unknown += costliest.unknown


def origin(instruction: Instruction, module: Module) -> str:
    """Name a function and the pass that it is in, such as "RMSNorm, backward".

    A fusion is named after its last operation. What the compiler adds, such as copies, and the
    slices by which a scan over layers stacks its activations, go by the operation's own name.

    Example:
      >>> from transfer.plan.hlo import parse
      >>> program = '''ENTRY %main (a: f32[2]) -> f32[2] {
      ...   %a = f32[2]{0} parameter(0)
      ...   ROOT %b = f32[2]{0} negate(%a), metadata={op_name="jit(f)/jvp()/neg" stack_frame_id=3}
      ... }'''
      >>> module = parse(program)
      >>> origin(module.entry.root, dataclasses.replace(module, functions={3: "rotary"}))
      'rotary, forward'
    """
    for each in _described(instruction, module):
        operation, frame = _OPERATION.search(each.attributes), _FRAME.search(each.attributes)
        name = module.functions.get(int(frame[1])) if frame else None
        if name is None and operation is None:
            continue
        path = operation[1] if operation else ""
        name = name or path.rpartition("/")[2]
        if "rematted_computation" in path:
            return f"{name}, forward again"
        if "transpose(" in path:
            return f"{name}, backward"
        return f"{name}, forward" if "jvp(" in path else name
    return instruction.operation.removesuffix("-start")


def _described(instruction: Instruction, module: Module) -> Iterator[Instruction]:
    """An instruction, and what is inside of a fusion, the last first."""
    yield instruction
    if instruction.operation == "fusion":
        yield from reversed(list(module.inside(instruction)))

"""How often the body of a loop in a compiled program runs."""

import math
import re

from transfer.plan.hlo import Computation, Instruction, Module

_KNOWN = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
# What hands a scalar on as it is.
_PASSES = ("bitcast", "copy", "reshape", "convert", "copy-start", "copy-done", "opt-barrier")


def trips(module: Module, loop: Instruction, around: Computation) -> int | None:
    """How often a `while` inside a computation runs its body; None where only the run tells.

    XLA writes it beside the loop, on CPUs and GPUs. On TPUs it is read from a loop that counts, as
    JAX's do: the condition compares an element of what the loop carries with a bound, both of which
    begin as constants.
    """
    if known := _KNOWN.search(loop.attributes):
        return int(known[1])
    (condition,), (body,) = loop.called("condition"), loop.called("body")
    compared = _compared(module, module.computations[condition])
    if compared is None:
        return None
    counter, bound = (_start(each, loop, around) for each in compared)
    if counter is None or bound is None:
        return None
    step = _step(module.computations[body], compared[0])
    return max(0, math.ceil((bound - counter) / step))


# An element of what a loop carries by its place, or a constant.
_Side = tuple[str, int]


def _compared(module: Module, condition: Computation) -> tuple[_Side, _Side] | None:
    """Both sides of the "less than" that a condition is; None for any other."""
    root, values = condition.root, None
    if root.operation == "fusion":
        # The comparison is inside, of what the fusion is given.
        (inside,) = root.called("calls")
        values = [_side(condition, name) for name in root.operands]
        condition = module.computations[inside]
        root = condition.root
    if root.operation != "compare" or root.attribute("direction") != "LT":
        return None
    left, right = (_side(condition, name, values) for name in root.operands)
    return (left, right) if left is not None and right is not None else None


def _side(
    computation: Computation, name: str, values: list[_Side | None] | None = None
) -> _Side | None:
    instruction = _origin(computation, name)
    if instruction.operation == "constant":
        return _constant(instruction)
    if instruction.operation == "parameter" and values is not None:
        return values[int(instruction.literal)]
    if instruction.operation == "get-tuple-element":
        return "carried", int(instruction.attribute("index"))
    return None


def _start(side: _Side, loop: Instruction, around: Computation) -> int | None:
    """What one side is before the loop."""
    kind, value = side
    if kind == "constant":
        return value
    carried = _origin(around, loop.operands[0])
    if carried.operation != "tuple":
        return None
    found = _constant(_origin(around, carried.operands[value]))
    return found[1] if found else None


def _step(body: Computation, counter: _Side) -> int:
    """By how much a body moves its counter: 1, unless the body plainly adds another constant."""
    kind, place = counter
    if kind != "carried" or body.root.operation != "tuple":
        return 1
    moved = _origin(body, body.root.operands[place])
    if moved.operation != "add":
        return 1
    constants = [_constant(_origin(body, name)) for name in moved.operands]
    return next((found[1] for found in constants if found and found[1] > 0), 1)


def _origin(computation: Computation, name: str) -> Instruction:
    instruction = computation.instructions[name]
    while instruction.operation in _PASSES and len(instruction.operands) == 1:
        instruction = computation.instructions[instruction.operands[0]]
    return instruction


def _constant(instruction: Instruction) -> _Side | None:
    if instruction.operation != "constant" or not re.fullmatch(r"-?\d+", instruction.literal):
        return None
    return "constant", int(instruction.literal)

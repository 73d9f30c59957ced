"""Bytes that an instruction of a compiled program moves to and from the main memory.

Each reads its operands once and writes its results once, of a fusion the slices that it takes and
updates alone, and nothing of a buffer that lies on the chip. What several instructions read is
counted for each of them, because each reads it again.
"""

import math
from collections.abc import Sequence

from transfer.plan.hlo import Buffer, Computation, Instruction, Module

# What moves nothing: names for parts of other buffers, and where an exchange ends.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier",
    "partition-id", "replica-id", "add-dependency", "while", "conditional", "domain", "call",
    "call-start", "async-start",
}  # fmt: skip
# Custom calls that name a place or a promise.
_FREE_CALLS = ("AllocateBuffer", "ConcatBitcast", "AssumeGather", "PrepareAsyncCall")
# Collectives that return what they are given beside what they make of it; the others return that.
_RETURN_OPERANDS = ("all-gather-start", "collective-permute-start")
_SLICES = ("slice", "dynamic-slice", "gather")
_LAZY = {"bitcast", "convert", "copy", "reshape", "transpose"}


def traffic(module: Module, instruction: Instruction, computation: Computation) -> float:
    """Bytes that an instruction moves to and from the main memory."""
    operation = instruction.operation
    if operation in _FREE or operation.endswith(("-done", "-update")):
        return 0.0
    if operation == "custom-call" and any(each in instruction.attributes for each in _FREE_CALLS):
        return 0.0
    read, written = computation.buffers(instruction), instruction.outputs
    if operation == "fusion":
        return _fusion_traffic(module, instruction, read)
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


def _fusion_traffic(module: Module, fusion: Instruction, read: list[Buffer]) -> float:
    """A fusion reads the slices that it takes of an operand, and writes those that it updates."""
    inside = module.inside(fusion)
    moved = 0.0
    for parameter, buffer in zip(inside.parameters, read, strict=False):
        share = _share_read(module, inside, parameter)
        moved += (1.0 if share is None else min(share, 1.0)) * _main([buffer])
    for result, buffer in zip(_results(module, inside), fusion.outputs, strict=False):
        moved += _share_written(result, buffer) * _main([buffer])
    return moved


def _share_read(module: Module, inside: Computation, parameter: Instruction) -> float | None:
    """The share of a parameter that a fusion reads; None where it reads all of it.

    Fusions may lie inside of others, and a slice is often taken in an inner one.
    """
    whole, share = math.prod(parameter.outputs[0].shape) or 1, 0.0
    pending = [parameter]
    while pending:
        instruction = pending.pop()
        if instruction is inside.root:
            return None
        for user in inside.users[instruction.name]:
            first = user.operands[0] == instruction.name
            if user.operation in _SLICES and first:
                share += math.prod(user.outputs[0].shape) / whole
            elif user.operation == "dynamic-update-slice" and first:
                continue  # what is not updated stays where it is
            elif user.operation in _LAZY:
                pending.append(user)
            elif user.operation == "fusion":
                inner = module.inside(user)
                if _hands_on(inner):
                    pending.append(user)
                    continue
                for place, name in enumerate(user.operands):
                    if name == instruction.name:
                        part = _share_read(module, inner, inner.parameters[place])
                        if part is None:
                            return None
                        share += part * math.prod(inner.parameters[place].outputs[0].shape) / whole
            else:
                return None
    return share


def _hands_on(inside: Computation) -> bool:
    """Whether a fusion only names its one operand anew, so that nothing is read before its user."""
    return all(each.operation in ("parameter", *_LAZY) for each in inside)


def _results(module: Module, inside: Computation) -> list[tuple[Computation, Instruction]]:
    """What makes each output of a fusion, inner fusions looked into."""
    root = inside.root
    roots = [root]
    if root.operation == "tuple":
        roots = [inside.instructions[name] for name in root.operands]
    return [_origin(module, inside, each) for each in roots]


def _origin(
    module: Module, inside: Computation, result: Instruction
) -> tuple[Computation, Instruction]:
    while result.operands:
        if result.operation in _LAZY:
            result = inside.instructions[result.operands[0]]
        elif result.operation == "fusion" and len(result.outputs) == 1:
            inside = module.inside(result)
            result = inside.root
        else:
            break
    return inside, result


def _share_written(result: tuple[Computation, Instruction], buffer: Buffer) -> float:
    inside, instruction = result
    if instruction.operation != "dynamic-update-slice":
        return 1.0
    update = inside.instructions[instruction.operands[1]].outputs[0]
    return math.prod(update.shape) / max(1, math.prod(buffer.shape))


def _part(buffer: Buffer, outputs: Sequence[Buffer]) -> float:
    """Bytes of a part as large as the outputs, read from where the whole lies."""
    return sum(output.size for output in outputs) if buffer.space == 0 else 0.0


def _main(buffers: Sequence[Buffer]) -> float:
    return sum(buffer.size for buffer in buffers if buffer.space == 0)

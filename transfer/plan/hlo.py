"""Reads the text of a compiled program: its computations, and what their instructions move.

The text is what `jax.stages.Compiled.as_text` returns, of programs for TPUs and CPUs alike.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping

from transfer.plan.frames import functions

_BITS = {"pred": 8, "token": 0, "opaque": 0, "c64": 64, "c128": 128, "bf16": 16}
_ARRAY = re.compile(r"([a-z]+\d*[a-z0-9]*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_START = re.compile(r"  (ROOT )?%?(\S+) = ")
_NAME = re.compile(r"%([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Buffer:
    """An array: its type, its shape, and the memory that it lies in, of which 0 is the main one."""

    dtype: str
    shape: tuple[int, ...]
    space: int = 0

    @property
    def size(self) -> float:
        """Bytes, without the padding of its layout."""
        return math.prod(self.shape) * _bits(self.dtype) / 8


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line: its outputs (several if a tuple), its operation, and the names of its operands.

    `literal` is what stands in the operands' place, the value of a constant or the number of a
    parameter; `attributes` is the rest of the line.
    """

    name: str
    operation: str
    outputs: tuple[Buffer, ...]
    operands: tuple[str, ...]
    literal: str
    attributes: str

    def attribute(self, name: str) -> str:
        """The text of an attribute up to the comma after it, or nothing."""
        match = re.search(rf"(?:^|[,\s]){name}=", self.attributes)
        return _until_comma(self.attributes[match.end() :]) if match else ""

    def called(self, name: str) -> tuple[str, ...]:
        """The computations that an attribute names."""
        return tuple(_NAME.findall(self.attribute(name)))

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of an attribute such as {0,1}."""
        return tuple(map(int, re.findall(r"\d+", self.attribute(name))))


@dataclasses.dataclass(frozen=True)
class Computation:
    """Instructions by name, in the order in which they run; the root is what it returns."""

    name: str
    instructions: Mapping[str, Instruction]
    root: Instruction

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.instructions.values())

    def buffers(self, instruction: Instruction) -> list[Buffer]:
        """What an instruction reads, the parts of tuples one by one."""
        return [
            buffer for name in instruction.operands for buffer in self.instructions[name].outputs
        ]

    @functools.cached_property
    def parameters(self) -> list[Instruction]:
        """Its parameters by number."""
        found = [each for each in self if each.operation == "parameter"]
        return sorted(found, key=lambda each: int(each.literal))

    @functools.cached_property
    def users(self) -> Mapping[str, list[Instruction]]:
        """By the name of an instruction those that read it."""
        found: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self:
            for name in dict.fromkeys(instruction.operands):
                found[name].append(instruction)
        return found


@dataclasses.dataclass(frozen=True)
class Module:
    """A program, and the functions that it was traced in by the number of a stack of calls."""

    computations: Mapping[str, Computation]
    entry: Computation
    functions: Mapping[int, str]

    def inside(self, fusion: Instruction) -> Computation:
        """What a fusion computes."""
        (name,) = fusion.called("calls")
        return self.computations[name]


def parse(text: str) -> Module:
    """Read a program's text.

    Example:
      >>> lines = '''ENTRY %main (a: f32[2]) -> f32[2] {
      ...   %a = f32[2]{0} parameter(0)
      ...   ROOT %b = f32[2]{0} negate(%a), metadata={op_name="neg"}
      ... }'''
      >>> module = parse(lines)
      >>> module.entry.root.operation, module.entry.root.outputs[0].size
      ('negate', 8.0)
    """
    computations: dict[str, Computation] = {}
    entry = ""
    for header, lines in _blocks(text):
        name = header.removeprefix("ENTRY ").split(" ", 1)[0].removeprefix("%")
        entry = name if header.startswith("ENTRY ") else entry
        found = [_instruction(line) for line in lines]
        root = next(each for each, line in zip(found, lines, strict=True) if "  ROOT " in line[:7])
        computations[name] = Computation(name, {each.name: each for each in found}, root)
    return Module(computations, computations[entry], functions(text))


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The header of every computation and its instructions, each on a line of its own."""
    header = ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.endswith("{") and (line.startswith(("%", "ENTRY "))):
            header, lines = line, []
        elif header and (line == "}" or line.startswith("}, execution_thread")):
            yield header, lines
            header = ""
        elif header and _START.match(line):
            lines.append(line)
        elif header and lines:
            lines[-1] += line  # what a kernel says of itself goes over several lines


def _instruction(line: str) -> Instruction:
    start = _START.match(line)
    assert start is not None  # `_blocks` saw to it
    rest = line[start.end() :]
    type_end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    operation, _, inside = rest[type_end:].lstrip().partition("(")
    end = _closing("(" + inside) - 1
    literal = inside[: end - 1]
    return Instruction(
        name=start[2],
        operation=operation,
        outputs=tuple(_buffers(rest[:type_end])),
        operands=tuple(_NAME.findall(literal)) if operation != "constant" else (),
        literal=literal,
        attributes=inside[end:].removeprefix(", "),
    )


def _buffers(text: str) -> Iterator[Buffer]:
    for dtype, shape, layout in _ARRAY.findall(text):
        space = _SPACE.search(layout or "")
        sizes = tuple(int(size.removeprefix("<=")) for size in shape.split(",") if size)
        yield Buffer(dtype, sizes, int(space[1]) if space else 0)


def _closing(text: str) -> int:
    """Where the parenthesis that the text begins with is closed, counted after it."""
    depth = 0
    for match in re.finditer(r"[()]", text):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.end()
    raise ValueError(f"A parenthesis is not closed: {text[:80]}")


def _until_comma(text: str) -> str:
    depth = 0
    for match in re.finditer(r'[{}()\[\],]|"(?:[^"\\]|\\.)*"', text):
        if match[0] in "{([":
            depth += 1
        elif match[0] in "})]":
            depth -= 1
        elif match[0] == "," and depth == 0:
            return text[: match.start()]
    return text


@functools.cache
def _bits(dtype: str) -> int:
    """Bits of a type by its name, such as s32, bf16 or f8e4m3fn."""
    if dtype in _BITS:
        return _BITS[dtype]
    match = re.match(r"[a-z]+(\d+)", dtype)
    assert match is not None, dtype
    return int(match[1])

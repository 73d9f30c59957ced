"""What devices send each other in a compiled program, and along which axes of the mesh."""

import dataclasses
import math
import re
from collections.abc import Mapping

import numpy as np

from transfer.plan.hlo import Computation, Instruction

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# Groups by axes of a mesh, as a range that is reshaped, and one by one.
_MESH = re.compile(r"replica_groups=mesh\[(.*?)\](?:, device_ids=\((.*?)\))? \{(.*?)\}")
_RANGE = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_LIST = re.compile(r"replica_groups=\{(\{[\d,{}]*\})\}")
# The devices of a mesh that are not numbered in order.
_ORDER = re.compile(r"\[([\d,]+)\]T\(([\d,]+)\)?")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One exchange.

    Fields:
      kind: its name.
      groups: which devices take part together, (groups, members), by place in the mesh.
      sent: bytes that each device sends, by a ring.
    """

    kind: str
    groups: tuple[tuple[int, ...], ...]
    sent: float

    def axes(self, mesh: Mapping[str, int]) -> tuple[str, ...]:
        """The axes of a mesh (sizes by name) along which members of a group differ."""
        found = set()
        for group in self.groups:
            places = np.array(np.unravel_index(np.array(group), tuple(mesh.values())))
            found |= {
                name for name, along in zip(mesh, places, strict=True) if len(np.unique(along)) > 1
            }
        return tuple(name for name in mesh if name in found)


def collective(
    instruction: Instruction, computation: Computation, devices: int
) -> Collective | None:
    """Read an instruction; None for what is no collective, or has no one to talk to.

    An asynchronous one is counted where it starts. A ring sends all but a device's own part of what
    is gathered or scattered, and both for an all-reduce.
    """
    kind = instruction.operation.removesuffix("-start")
    if kind not in KINDS:
        return None
    payload = sum(buffer.size for buffer in computation.buffers(instruction))
    if kind == "collective-permute":
        pairs = re.findall(r"\{(\d+),(\d+)\}", instruction.attribute("source_target_pairs"))
        # What stays where it is goes over no link.
        moves = tuple((int(source), int(target)) for source, target in pairs if source != target)
        return Collective(kind, moves, payload) if moves else None
    groups = _groups(instruction.attributes, devices)
    members = len(groups[0])
    if members == 1:
        return None
    others = {
        "all-gather": members - 1,
        "all-reduce": 2 * (members - 1) / members,
        "collective-broadcast": 1,
    }.get(kind, (members - 1) / members)
    if kind == "all-reduce" and _is_scattered(instruction, computation):
        kind, others = "reduce-scatter", (members - 1) / members
    return Collective(kind, groups, payload * others)


def _is_scattered(instruction: Instruction, computation: Computation) -> bool:
    """Whether each device keeps a slice alone, which TPUs fuse into the reduction."""
    users = computation.users[instruction.name]
    return (
        computation.name.startswith("all-reduce-scatter")
        and bool(users)
        and all(user.operation == "dynamic-slice" for user in users)
    )


def _groups(attributes: str, devices: int) -> tuple[tuple[int, ...], ...]:
    """Groups in any of the ways in which they are written; all devices where none are."""
    if match := _MESH.search(attributes):
        return _along(*match.groups())
    if match := _RANGE.search(attributes):
        shape, ranges, order = match.groups()
        numbers = np.arange(math.prod(_numbers(ranges))).reshape(_numbers(ranges))
        numbers = numbers.transpose(_numbers(order) or None).reshape(_numbers(shape))
        return tuple(map(tuple, numbers.tolist()))
    if match := _LIST.search(attributes):
        return tuple(tuple(_numbers(group)) for group in re.findall(r"\{([\d,]+)\}", match[1]))
    return (tuple(range(devices)),)


def _along(axes: str, ids: str | None, along: str) -> tuple[tuple[int, ...], ...]:
    """Groups along axes of a mesh.

    An axis may be used in part: 'x':(2)4 is the sub-axis of size 4 that 2 others come before.
    """
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", axes)}
    used = re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", along)
    parts = {name: (int(before), int(part)) for name, before, part in used if part}
    shape: list[int] = []
    chosen: list[int] = []
    for name, size in sizes.items():
        before, part = parts.get(name, (1, size))
        if any(name == each for each, *_ in used):
            chosen.append(len(shape) + 1)
        shape += [before, part, size // before // part]
    split = _ids(ids, math.prod(sizes.values())).reshape(shape)
    rest = [axis for axis in range(split.ndim) if axis not in chosen]
    members = math.prod(split.shape[axis] for axis in chosen)
    return tuple(map(tuple, split.transpose(*rest, *chosen).reshape(-1, members).tolist()))


def _ids(text: str | None, count: int) -> np.ndarray:
    """Numbers of the devices of a mesh: in order, as a range that is transposed, or one by one."""
    if not text:
        return np.arange(count)
    if match := _ORDER.search(text):
        shape, order = map(_numbers, match.groups())
        return np.arange(count).reshape(shape).transpose(order)
    return np.array(_numbers(text))


def _numbers(text: str | None) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text or "")]

"""Who sends how much to whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.plan.collectives import _groups

from .programs import read

MESH = {"trial": 2, "data": 4, "fsdp": 8}
DEVICES = 64
KIB = 1024.0


def program(operation: str) -> str:
    return f"""%add (a: f32[], b: f32[]) -> f32[] {{
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}}

ENTRY %main (x: f32[256]) -> f32[256] {{
  %x = f32[256]{{0}} parameter(0)
  ROOT {operation}
}}
"""


def message(operation: str):
    """The one message of a program, and how often it is sent."""
    ((found, times),) = read(program(operation), DEVICES).messages.items()
    return found, times


# Eight neighbours each, in every way in which XLA writes it.
@pytest.mark.parametrize(
    "groups",
    [
        "{"
        + ",".join(f"{{{','.join(map(str, range(8 * i, 8 * i + 8)))}}}" for i in range(8))
        + "}",
        "[8,8]<=[64]",
        "mesh['a'=8,'b'=8] {'b'}",
        "mesh['a'=64] {'a':(8)8}",
    ],
)
def test_groups_are_read_in_every_notation(groups):
    found = _groups(f"channel_id=1, replica_groups={groups}, dimensions={{0}}", DEVICES)
    assert sorted(found) == [tuple(range(8 * i, 8 * i + 8)) for i in range(8)]


@pytest.mark.parametrize(
    "groups",
    [
        "[8,8]<=[8,8]T(1,0)",
        "mesh['a'=8,'b'=8] {'a'}",
        "mesh['a'=8,'b'=8], device_ids=([8,8]T(1,0)) {'b'}",
        "mesh['a'=64] {'a':(1)8}",
    ],
)
def test_groups_across(groups):
    found = _groups(f"replica_groups={groups}, dimensions={{0}}", DEVICES)
    assert sorted(found) == [tuple(range(i, 64, 8)) for i in range(8)]


def test_without_groups_all_take_part():
    assert _groups("replica_groups={}, channel_id=3", 4) == ((0, 1, 2, 3),)


@given(st.sets(st.sampled_from(sorted(MESH)), min_size=1))
def test_the_axes_of_a_group_are_those_along_which_its_members_differ(axes):
    names = list(MESH)
    order = [names.index(name) for name in names if name not in axes]
    order += [names.index(name) for name in names if name in axes]
    members = int(np.prod([MESH[name] for name in axes]))
    numbers = np.arange(DEVICES).reshape(tuple(MESH.values())).transpose(order)
    groups = ",".join(
        "{" + ",".join(map(str, group)) + "}" for group in numbers.reshape(-1, members)
    )
    found, _ = message(
        f"%y = f32[256]{{0}} all-reduce(%x), replica_groups={{{groups}}}, to_apply=%add"
    )
    assert set(found.axes(MESH)) == axes


@pytest.mark.parametrize(
    ("operation", "kind", "sent"),
    [
        # Every device gives its KiB to the ring and hands on those of others.
        ("f32[2048]{0} all-gather(%x), GROUPS, dimensions={0}", "all-gather", 7 * KIB),
        ("f32[256]{0} all-reduce(%x), GROUPS, to_apply=%add", "all-reduce", 2 * 7 / 8 * KIB),
        (
            "f32[32]{0} reduce-scatter(%x), GROUPS, dimensions={0}, to_apply=%add",
            "reduce-scatter",
            7 / 8 * KIB,
        ),
        ("f32[256]{0} all-to-all(%x), GROUPS, dimensions={0}", "all-to-all", 7 / 8 * KIB),
        (
            "f32[256]{0} collective-permute(%x), source_target_pairs={{0,1},{1,0}}",
            "collective-permute",
            KIB,
        ),
        (
            "(f32[256]{0}, f32[2048]{0}) all-gather-start(%x), GROUPS, dimensions={0}",
            "all-gather",
            7 * KIB,
        ),
    ],
)
def test_bytes_that_each_device_sends_around_a_ring(operation, kind, sent):
    found, times = message(f"%y = {operation}".replace("GROUPS", "replica_groups=[8,8]<=[64]"))
    assert (found.kind, found.sent, times) == (kind, sent, 1)


@pytest.mark.parametrize(
    "operation",
    [
        "%y = f32[256]{0} all-reduce(%x), replica_groups=[64,1]<=[64], to_apply=%add",
        "%y = f32[256]{0} collective-permute(%x), source_target_pairs={{0,0},{1,1}}",
        "%y = f32[2048]{0} all-gather-done(%x)",
    ],
)
def test_no_message_to_oneself_and_none_where_one_only_ends(operation):
    assert not read(program(operation), DEVICES).messages


def test_what_a_permutation_leaves_in_its_place_is_no_message():
    found, _ = message(
        "%y = f32[256]{0} collective-permute(%x), source_target_pairs={{0,0},{1,2},{2,1},{3,3}}"
    )
    assert (found.groups, found.sent) == (((1, 2), (2, 1)), KIB)


SCATTERED = """%all-reduce-scatter (input: bf16[2048,64]) -> bf16[128,64] {
  %input = bf16[2048,64]{1,0} parameter(0)
  %place = s32[] constant(0)
  %reduced = bf16[2048,64]{1,0} all-reduce(%input), replica_groups=[4,16]<=[64], to_apply=%add
  ROOT %kept = bf16[128,64]{1,0} dynamic-slice(%reduced, %place, %place), dynamic_slice_sizes={128,64}
}

ENTRY %main (x: bf16[2048,64]) -> bf16[128,64] {
  %x = bf16[2048,64]{1,0} parameter(0)
  ROOT %y = bf16[128,64]{1,0} fusion(%x), kind=kCustom, calls=%all-reduce-scatter
}
"""


def test_a_reduction_of_which_each_device_keeps_a_slice_is_a_reduce_scatter():
    ((found, _),) = read(SCATTERED, DEVICES).messages.items()
    assert (found.kind, found.sent) == ("reduce-scatter", 2048 * 64 * 2 * 15 / 16)


OFFLOADED = """%called (input: f32[256]) -> f32[2048] {
  %input = f32[256]{0} parameter(0)
  ROOT %gathered = f32[2048]{0} all-gather(%input), replica_groups=[8,8]<=[64], dimensions={0}
}, execution_thread="sparsecore"

%body (carried: (s32[], f32[256])) -> (s32[], f32[256]) {
  %carried = (s32[], f32[256]{0}) parameter(0)
  %one = s32[] constant(1)
  %i = s32[] get-tuple-element(%carried), index=0
  %x = f32[256]{0} get-tuple-element(%carried), index=1
  %start = ((f32[256]{0}), f32[2048]{0}, u32[]) call-start(%x), async_execution_thread="sparsecore", to_apply=%called
  %done = f32[2048]{0} call-done(%start)
  %next = s32[] add(%i, %one)
  ROOT %moved = (s32[], f32[256]{0}) tuple(%next, %x)
}

%condition (carried: (s32[], f32[256])) -> pred[] {
  %carried = (s32[], f32[256]{0}) parameter(0)
  %bound = s32[] constant(6)
  %i = s32[] get-tuple-element(%carried), index=0
  ROOT %less = pred[] compare(%i, %bound), direction=LT
}

ENTRY %main (x: f32[256]) -> (s32[], f32[256]) {
  %x = f32[256]{0} parameter(0)
  %zero = s32[] constant(0)
  %before = (s32[], f32[256]{0}) tuple(%zero, %x)
  ROOT %loop = (s32[], f32[256]{0}) while(%before), condition=%condition, body=%body
}
"""


def test_a_message_from_beside_the_program_in_a_loop_counts_once_a_trip():
    ((found, times),) = read(OFFLOADED, DEVICES).messages.items()
    assert (found.kind, found.sent, times) == ("all-gather", 7 * KIB, 6)

"""Bytes that a program moves to and from the main memory."""

import pytest

from .programs import read

KIB = 1024

FUSION = """%inside (stack: f32[4,256], index: s32[]) -> f32[1,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  %index = s32[] parameter(1)
  %zero = s32[] constant(0)
  %slice = f32[1,256]{1,0} dynamic-slice(%stack, %index, %zero), dynamic_slice_sizes={1,256}
  ROOT %out = f32[1,256]{1,0} negate(%slice)
}

%update (stack: f32[4,256], index: s32[], row: f32[1,256]) -> f32[4,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  %index = s32[] parameter(1)
  %row = f32[1,256]{1,0} parameter(2)
  %zero = s32[] constant(0)
  ROOT %out = f32[4,256]{1,0} dynamic-update-slice(%stack, %row, %index, %zero)
}

%whole (stack: f32[4,256]) -> f32[4,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  ROOT %out = f32[4,256]{1,0} negate(%stack)
}

%nested (stack: f32[4,256], index: s32[], row: f32[1,256]) -> f32[4,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  %index = s32[] parameter(1)
  %row = f32[1,256]{1,0} parameter(2)
  %zero = s32[] constant(0)
  %taken = f32[1,256]{1,0} fusion(%stack, %index), kind=kLoop, calls=%inside
  %sum = f32[1,256]{1,0} add(%taken, %row)
  ROOT %out = f32[4,256]{1,0} dynamic-update-slice(%stack, %sum, %index, %zero)
}

%named (stack: f32[4,256]) -> f32[1024] {
  %stack = f32[4,256]{1,0} parameter(0)
  ROOT %out = f32[1024]{0} bitcast(%stack)
}

%through (stack: f32[4,256]) -> f32[1024] {
  %stack = f32[4,256]{1,0} parameter(0)
  %flat = f32[1024]{0} fusion(%stack), kind=kLoop, calls=%named
  ROOT %out = f32[1024]{0} negate(%flat)
}

%rounded (stack: f32[4,256]) -> bf16[4,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  ROOT %out = bf16[4,256]{1,0} convert(%stack)
}

%placed (stack: f32[4,256], index: s32[], row: f32[1,256]) -> f32[4,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  %index = s32[] parameter(1)
  %row = f32[1,256]{1,0} parameter(2)
  ROOT %out = f32[4,256]{1,0} fusion(%stack, %index, %row), kind=kLoop, calls=%update
}

ENTRY %main (stack: f32[4,256], index: s32[], row: f32[1,256]) -> f32[4,256] {
  %stack = f32[4,256]{1,0} parameter(0)
  %index = s32[]{:S(2)} parameter(1)
  %row = f32[1,256]{1,0} parameter(2)
  ROOT OPERATION
}
"""


def moved(operation: str) -> float:
    return read(FUSION.replace("OPERATION", operation)).bytes


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        # All of a stack of 4 KiB in, all of it out.
        ("%out = f32[4,256]{1,0} fusion(%stack), kind=kLoop, calls=%whole", 8 * KIB),
        # A row of 1 KiB in, a row out.
        ("%out = f32[1,256]{1,0} fusion(%stack, %index), kind=kLoop, calls=%inside", 2 * KIB),
        # The row in, and where it is put, out; the rest of the stack stays where it is.
        ("%out = f32[4,256]{1,0} fusion(%stack, %index, %row), kind=kLoop, calls=%update", 2 * KIB),
        # In a fusion of fusions a row of the stack and the other row in, and a row out.
        ("%out = f32[4,256]{1,0} fusion(%stack, %index, %row), kind=kLoop, calls=%nested", 3 * KIB),
        ("%out = f32[4,256]{1,0} fusion(%stack, %index, %row), kind=kLoop, calls=%placed", 2 * KIB),
        # What is only named inside, or converted and nothing else, is read whole.
        ("%out = f32[1024]{0} fusion(%stack), kind=kLoop, calls=%through", 8 * KIB),
        ("%out = bf16[4,256]{1,0} fusion(%stack), kind=kLoop, calls=%rounded", 6 * KIB),
        ("%out = f32[4,256]{1,0} copy(%stack)", 8 * KIB),
        # From the main memory to the chip's own, S(1): read alone.
        ("%out = f32[4,256]{1,0:S(1)} copy(%stack)", 4 * KIB),
        (
            "%out = (f32[4,256]{1,0:S(1)}, f32[4,256]{1,0}, u32[]{:S(2)}) copy-start(%stack)",
            4 * KIB,
        ),
        # A row of it, beside other work.
        (
            "%out = ((f32[4,256]{1,0}), f32[1,256]{1,0:S(1)}, s32[]{:S(2)}) slice-start(%stack), slice={[0:1], [0:256]}",
            KIB,
        ),
        ("%out = f32[2,256]{1,0} slice(%stack), slice={[0:2], [0:256]}", 4 * KIB),
        ("%out = f32[1024]{0} bitcast(%stack)", 0),
        (
            '%out = f32[8,256]{1,0} custom-call(%stack, %stack), custom_call_target="ConcatBitcast"',
            0,
        ),
        (
            '%out = f32[4,256]{1,0} custom-call(%stack), custom_call_target="tpu_custom_call"',
            8 * KIB,
        ),
        ("%out = (f32[4,256]{1,0}, f32[1,256]{1,0}) tuple(%stack, %row)", 0),
        # A shard of 1 KiB in, what is gathered out.
        (
            "%out = f32[4,256]{1,0} all-gather(%row), replica_groups={{0,1,2,3}}, dimensions={0}",
            5 * KIB,
        ),
        # So where it starts beside other work, of which the operand and the result are the outputs.
        (
            "%out = (f32[1,256]{1,0}, f32[4,256]{1,0}) all-gather-start(%row), replica_groups={{0,1,2,3}}, dimensions={0}",
            5 * KIB,
        ),
        (
            "%out = (f32[1,256]{1,0}, f32[1,256]{1,0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%row), source_target_pairs={{0,1}}",
            2 * KIB,
        ),
        # But of a reduction the result alone: 4 KiB in, 4 KiB out.
        (
            "%out = f32[4,256]{1,0} all-reduce-start(%stack), replica_groups={{0,1,2,3}}, to_apply=%add",
            8 * KIB,
        ),
    ],
)
def test_an_instruction_moves_what_it_reads_and_writes_in_the_main_memory(operation, expected):
    assert moved(operation) == expected

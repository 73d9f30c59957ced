"""Traffic goes by the functions of this library that JAX traced it in."""

import pathlib

import pytest

import transfer
from transfer.plan.cost import cost
from transfer.plan.frames import functions
from transfer.plan.hlo import parse

HOME = pathlib.Path(transfer.__file__).parent
KIB = 1024

# `RMSNorm.__call__` in `Block.__call__` in a library, as JAX writes it: a frame's parent is one more
# than its number, so that 1 is none.
PROGRAM = f"""HloModule jit_f, is_scheduled=true

FileNames
1 "/site-packages/flax/iteration.py"
2 "{HOME}/models/transformer.py"
3 "{HOME}/models/layers.py"

FunctionNames
1 "ScanFn.__call__"
2 "Block.__call__"
3 "RMSNorm.__call__"
4 "rotary"

FileLocations
1 {{file_name_id=1 function_name_id=1 line=7 end_line=7 column=1 end_column=2}}
2 {{file_name_id=2 function_name_id=2 line=8 end_line=8 column=1 end_column=2}}
3 {{file_name_id=3 function_name_id=3 line=9 end_line=9 column=1 end_column=2}}
4 {{file_name_id=3 function_name_id=4 line=9 end_line=9 column=1 end_column=2}}

StackFrames
1 {{file_location_id=1 parent_frame_id=1}}
2 {{file_location_id=2 parent_frame_id=2}}
3 {{file_location_id=3 parent_frame_id=3}}
4 {{file_location_id=1 parent_frame_id=4}}
5 {{file_location_id=4 parent_frame_id=3}}

%inside (x: f32[256]) -> f32[256] {{
  %x = f32[256]{{0}} parameter(0)
  %y = f32[256]{{0}} cosine(%x), metadata={{op_name="jit(f)/transpose(jvp())/cos" stack_frame_id=5}}
  ROOT %z = f32[256]{{0}} bitcast(%y)
}}

ENTRY %main (a: f32[256]) -> f32[256] {{
  %a = f32[256]{{0}} parameter(0)
  %b = f32[256]{{0}} negate(%a), metadata={{op_name="jit(f)/jvp()/neg" stack_frame_id=3}}
  %c = f32[256]{{0}} negate(%b), metadata={{op_name="jit(f)/checkpoint/rematted_computation/neg" stack_frame_id=4}}
  %d = f32[256]{{0}} fusion(%c), kind=kLoop, calls=%inside
  %e = f32[256]{{0}} negate(%d), metadata={{op_name="jit(f)/transpose(jvp())/mul" stack_frame_id=1}}
  ROOT %g = f32[256]{{0}} copy(%e)
}}
"""


def test_a_stack_goes_by_the_innermost_function_of_this_library():
    assert functions(PROGRAM) == {2: "Block", 3: "RMSNorm", 4: "RMSNorm", 5: "rotary"}
    # The control: nothing of a library, wherever it is called from.
    assert functions(PROGRAM.replace(str(HOME), "/elsewhere")) == {}


def test_traffic_goes_by_function_and_pass():
    found = cost(parse(PROGRAM), 1)
    assert found.origins == {
        "RMSNorm, forward": 2 * KIB,
        "RMSNorm, forward again": 2 * KIB,
        # A fusion by the last of its operations that JAX knows.
        "rotary, backward": 2 * KIB,
        # Outside of this library by JAX's operation, and what the compiler adds by its own.
        "mul, backward": 2 * KIB,
        "copy": 2 * KIB,
    }
    assert found.bytes == pytest.approx(sum(found.origins.values()))

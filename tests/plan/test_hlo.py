import math

from hypothesis import given
from hypothesis import strategies as st

from transfer.plan.hlo import Buffer, parse

PROGRAM = """HloModule jit_f, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

ENTRY %main (x: bf16[4,8]) -> (f32[4], s8[2]) {
  %x = bf16[4,8]{1,0:T(8,128)(2,1)S(1)} parameter(0)
  %zero = f32[]{:T(128)} constant(0)
  %kernel = (s8[1,4,4]{2,1,0}, /*index=1*/f32[4,8]{1,0:T(8,128)}) custom-call(%x, /*index=1*/%zero), custom_call_target="tpu_custom_call", frontend_attributes={kernel_metadata={
"xprof_metadata":"{\\"block_q\\": 128}"
}}, metadata={op_name="f, g(h)"}, backend_config={"body":"AB=,}"}
  %second = f32[4,8]{1,0:T(8,128)} get-tuple-element(%kernel), index=1
  %total = f32[4]{0:T(128)} reduce(%second, %zero), dimensions={1}, to_apply=%add
  %first = s8[2]{0} bitcast(%zero)
  ROOT %result = (f32[4]{0:T(128)}, s8[2]{0}) tuple(%total, %first)
}
"""


def test_computations_instructions_and_what_they_read():
    module = parse(PROGRAM)
    assert list(module.computations) == ["add", "main"]
    assert module.entry.name == "main"
    assert [each.operation for each in module.entry] == [
        "parameter", "constant", "custom-call", "get-tuple-element", "reduce", "bitcast", "tuple",
    ]  # fmt: skip
    kernel = module.entry.instructions["kernel"]
    assert kernel.operands == ("x", "zero")
    assert kernel.outputs == (Buffer("s8", (1, 4, 4)), Buffer("f32", (4, 8)))
    assert module.entry.buffers(kernel)[0] == Buffer("bf16", (4, 8), space=1)
    assert module.entry.instructions["total"].called("to_apply") == ("add",)
    assert module.entry.instructions["total"].numbers("dimensions") == (1,)
    assert module.entry.root.name == "result"
    assert [each.name for each in module.computations["add"].parameters] == ["a", "b"]


def test_what_a_kernel_says_of_itself_over_several_lines_ends_no_computation():
    kernel = parse(PROGRAM).entry.instructions["kernel"]
    assert kernel.attribute("custom_call_target") == '"tpu_custom_call"'
    assert kernel.attribute("backend_config") == '{"body":"AB=,}"}'
    assert kernel.attribute("window") == ""


def test_users_of_an_instruction():
    users = parse(PROGRAM).entry.users
    assert [each.name for each in users["zero"]] == ["kernel", "total", "first"]
    assert users["result"] == []


@given(
    st.lists(st.integers(0, 5), max_size=4),
    st.sampled_from(
        [("f32", 4), ("bf16", 2), ("pred", 1), ("u4", 0.5), ("f8e4m3fn", 1), ("c64", 8)]
    ),
)
def test_bytes_of_an_array(sizes, kind):
    dtype, each = kind
    assert Buffer(dtype, tuple(sizes)).size == math.prod(sizes) * each

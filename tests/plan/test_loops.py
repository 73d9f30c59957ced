import re

import jax
import jax.numpy as jnp
import pytest

from transfer.plan.cost import cost
from transfer.plan.hlo import parse
from transfer.plan.loops import trips

from .programs import compiled, shape

LOOP = """%body (carried: (s32[], f32[4])) -> (s32[], f32[4]) {{
  %carried = (s32[], f32[4]{{0}}) parameter(0)
  %by = s32[] constant({step})
  %i = s32[] get-tuple-element(%carried), index=0
  %x = f32[4]{{0}} get-tuple-element(%carried), index=1
  %next = s32[] add(%i, %by)
  ROOT %moved = (s32[], f32[4]{{0}}) tuple(%next, %x)
}}

%condition (carried: (s32[], f32[4])) -> pred[] {{
  %bound = s32[]{{:T(128)}} constant({bound})
  %carried = (s32[], f32[4]{{0}}) parameter(0)
  %i = s32[] get-tuple-element(%carried), index=0
  ROOT %less = pred[]{{:T(512)}} compare(%i, %bound), direction={direction}
}}

ENTRY %main (x: f32[4]) -> (s32[], f32[4]) {{
  %x = f32[4]{{0}} parameter(0)
  %start = s32[] constant({start})
  %copied = s32[]{{:T(128)}} copy(%start)
  %before = (s32[], f32[4]{{0}}) tuple(%copied, %x)
  ROOT %loop = (s32[], f32[4]{{0}}) while(%before), condition=%condition, body=%body
}}
"""


def found(**numbers):
    text = LOOP.format(**({"step": 1, "bound": 4, "direction": "LT", "start": 0} | numbers))
    module = parse(text)
    return trips(module, module.entry.root, module.entry)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, 4),
        ({"start": 1, "bound": 32}, 31),
        ({"step": 2, "bound": 7}, 4),
        ({"bound": 0}, 0),
        ({"direction": "GT"}, None),
    ],
)
def test_a_loop_that_counts_from_constant_to_constant(numbers, expected):
    assert found(**numbers) == expected


def test_what_xla_writes_beside_a_loop_and_what_is_read_from_it_agree():
    def run(x, ws):
        def outer(x, ws):
            return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, ws)[0], None

        return jax.lax.scan(outer, x, ws)[0]

    text = compiled(run, shape(8, 8), shape(3, 5, 8, 8)).as_text()
    told, bare = parse(text), parse(re.sub(r'"known_trip_count":\{"n":"\d+"\}', "", text))
    counts = {
        name: [
            trips(module, loop, around)
            for around in module.computations.values()
            for loop in around
            if loop.operation == "while"
        ]
        for name, module in (("told", told), ("bare", bare))
    }
    assert sorted(counts["told"]) == [3, 5]
    assert counts["bare"] == counts["told"]


def test_a_bound_that_is_given_to_the_program_is_not_known():
    def run(x, count):
        return jax.lax.fori_loop(0, count, lambda _, x: jnp.tanh(x), x)

    module = parse(compiled(run, shape(8), shape(dtype="int32")).as_text())
    ((loop, around),) = (
        (each, around)
        for around in module.computations.values()
        for each in around
        if each.operation == "while"
    )
    assert trips(module, loop, around) is None


NESTED = """%inside (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  ROOT %y = f32[8]{0} negate(%x)
}

%unknown (x: f32[8]) -> pred[] {
  %x = f32[8]{0} parameter(0)
  ROOT %more = pred[] custom-call(%x), custom_call_target="more"
}

%step (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  ROOT %while.1 = f32[8]{0} while(%x), condition=%unknown, body=%inside
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  ROOT %while.2 = f32[8]{0} while(%x), condition=%unknown, body=%step
}
"""


def test_loops_of_unknown_length_are_named_from_the_outside_in():
    assert cost(parse(NESTED), devices=1).open == ["while.2", "while.1"]

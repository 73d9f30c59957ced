"""What a person reads of a plan."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from transfer.plan import Fit, Plan, SweepPlan, plan_table, sweep_table
from transfer.plan.estimate import CostEstimate, Exchange
from transfer.plan.least import LeastTraffic
from transfer.plan.memory import Memory
from transfer.tpu import Topology

GIB = 2.0**30
GATHERED = Exchange(kind="all-gather", axes=("data", "fsdp"), times=226, sent=3.5e9, seconds=6.6e-3)
PLAN = Plan(
    topology=Topology.parse("v5p:8x8x8"),
    width=16384,
    recipe="mup_table3/uniform+measured",
    trials=48,
    steps=125_000,
    execution="vectorized",
    mesh={"trial": 2, "data": 4, "fsdp": 32, "tensor": 2},
    batch_size=4096,
    parameters=6_640_000_000,
    memory=Memory(
        parameters=0.5 * GIB,
        optimizer=GIB,
        inputs=0.25 * GIB,
        temporaries=4 * GIB,
        activations=3 * GIB,
        code=0.05 * GIB,
        peak=5.75 * GIB,
        limit=95.74 * GIB,
    ),
    model_flops=64 * 190e12,
    own_flops=190e12,
    compiled_flops=230e12,
    least=LeastTraffic(state=1e11, gradients=2e10, activations=5e10),
    bytes=4.2e11,
    origins={"Linear, backward": 1.05e11, "RMSNorm, forward again": 2.1e10},
    unknown=(),
    open=(),
    exchanges=(GATHERED,),
    estimate=CostEstimate(products=0.5, traffic=0.0615, exchange=0.0066, moved=0.15, useful=0.414),
    traced=10.0,
    seconds=42.0,
)


def shown(table, columns=80):
    console = Console(width=columns, file=io.StringIO(), highlight=False)
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("columns", [60, 80])
def test_a_plan_fits_a_narrow_terminal(columns):
    text = shown(plan_table(PLAN), columns)
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text


def test_a_plan_says_what_is_where_and_what_a_step_waits_for():
    text = " ".join(shown(plan_table(PLAN)).split())
    assert "512 chips: 48 trials, vectorized, of width 16384, 6,640M parameters" in text
    assert "mesh trial 2 x data 4 x fsdp 32 x tensor 2" in text
    # At most so much in use at once is what is held against the limit, not all temporaries.
    assert "temporaries in use at once 4.000 4.2%" in text
    assert "total 5.800 6.1%" in text
    assert "there are 95.740 It fits, with 89.94 GiB left." in text
    assert "compiled FLOPs 230 T 500 ms" in text
    assert "all-gather data, fsdp 226 3.5 G 6.6 ms" in text
    # The least bytes are the bound, and what the program moves stands beside it.
    assert "least bytes to and from memory 170 G 61.5 ms" in text
    assert "parameters and optimizer 100 G" in text
    assert "gradients 20 G" in text
    assert "activations kept 50 G" in text
    assert "bytes moved as compiled 420 G 150 ms" in text
    assert "Linear, backward 105 G 25%" in text
    assert "500 ms at best, limited by its products (657 ms if nothing overlaps)" in text
    assert "at most 83% of peak (MFU)" in text
    assert f"at least {PLAN.chip_hours:,.2g} chip-hours" in text
    assert "Not counted" not in text


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        ({"traffic": 0.7}, "memory traffic"),
        ({"exchange": 0.7}, "its links"),
        ({"moved": 0.7}, "its products"),
    ],
)
def test_a_step_is_limited_by_the_longest_bound_and_not_by_what_is_moved(seconds, limit):
    other = dataclasses.replace(PLAN, estimate=dataclasses.replace(PLAN.estimate, **seconds))
    assert f"at best, limited by {limit} (" in " ".join(shown(plan_table(other)).split())


def test_what_a_plan_leaves_out_is_said():
    partly = dataclasses.replace(PLAN, unknown=("mystery.2",), open=("while.5",), exchanges=())
    text = " ".join(shown(plan_table(partly)).split())
    assert "Not counted: mystery.2, all but one trip of while.5." in text
    assert "No device sends another anything." in text


def test_idle_chips_are_said():
    assert PLAN.idle == 0
    assert "idle" not in shown(plan_table(PLAN))
    part = dataclasses.replace(PLAN, mesh=PLAN.mesh | {"trial": 1, "fsdp": 31})
    assert part.idle == 512 - 4 * 31 * 2
    text = " ".join(shown(plan_table(part)).split())
    assert "512 chips, 264 of them idle: 48 trials" in text
    assert "at most 83% of the peak of those that work (MFU)" in text
    sweep = SweepPlan(topology=PLAN.topology, groups=(Fit(PLAN), Fit(part)), room={16384: 640})
    assert "Up to 264 chips are idle beside a group" in " ".join(shown(sweep_table(sweep)).split())
    # Two devices a chip: with half of one chip's, the chip is not idle.
    halves = Topology.parse("v7x:2x2x1")
    odd = dataclasses.replace(PLAN, topology=halves, mesh={"trial": 5})
    assert odd.idle == 1


def test_no_chips_are_idle_in_a_sweep_that_uses_all():
    sweep = SweepPlan(topology=PLAN.topology, groups=(Fit(PLAN), Fit(None, 1.0)), room={16384: 1})
    assert "idle" not in shown(sweep_table(sweep))


@pytest.mark.parametrize("columns", [80])
def test_a_sweep_fits_a_narrow_terminal(columns):
    wide = dataclasses.replace(PLAN, width=32768)
    groups = (Fit(PLAN), Fit(wide, 120 * GIB, {"mesh.fsdp": 64}), Fit(None, 500 * GIB))
    sweep = SweepPlan(topology=PLAN.topology, groups=groups, room={16384: 640, 32768: 96})
    text = shown(sweep_table(sweep), columns)
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    assert f"{2 * PLAN.chip_hours:.2g} chip-hours at least" in " ".join(text.split())
    content = json.loads(json.dumps(sweep.to_json(), allow_nan=False))
    assert [group["fits"] for group in content["groups"]] == [True, False, False]
    assert content["groups"][1]["change"] == {"mesh.fsdp": 64}
    assert content["fits"] is False


def test_an_adaptive_search_costs_its_rounds_at_most():
    once = SweepPlan(topology=PLAN.topology, groups=(Fit(PLAN),), room={16384: 1})
    six = dataclasses.replace(once, rounds=6)
    text = " ".join(shown(sweep_table(six)).split())

    assert six.chip_hours == pytest.approx(6 * once.chip_hours)
    assert "all of its 6 rounds" in text
    assert "rounds" not in shown(sweep_table(once))

"""A plan for the terminal, in 80 columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from transfer.plan.fitting import Fit
    from transfer.plan.memory import Memory
    from transfer.plan.plan import Plan
    from transfer.plan.sweep import SweepPlan
    from transfer.tpu.topology import Topology

_GiB = 2.0**30


def plan_table(plan: "Plan") -> "Group":
    """Return what a program takes of every device, costs, and takes in time at best.

    Example:
      >>> rich.print(plan_table(plan))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.text import Text

    return Group(
        Text(_title(plan)),
        Text(),
        _rows(f"memory of {_device(plan)}", ("GiB", "share"), _memory(plan)),
        Text(),
        Text(_fits(plan.memory)),
        Text(),
        _rows(f"a step of {_device(plan)}", ("", "seconds at best"), _work(plan)),
        Text(),
        _exchanges(plan) if plan.exchanges else Text("No device sends another anything."),
        Text(),
        _rows("bytes moved as compiled, by function", ("", "share"), _origins(plan)),
        Text(),
        Text(_time(plan)),
    )


def sweep_table(sweep: "SweepPlan") -> "Group":
    """Return a row for each group of a sweep, and what all of it takes."""
    from rich.console import Group
    from rich.text import Text

    table = _table()
    table.add_column("recipe", overflow="fold")
    for title in ("width", "trials", "room", "GiB", "step", "MFU", "chip-hours", "compiled"):
        table.add_column(title, justify="right", no_wrap=True)
    for fit in sweep.groups:
        if plan := fit.plan:
            table.add_row(
                plan.recipe,
                str(plan.width),
                str(plan.trials),
                str(sweep.room[plan.width]),
                f"{plan.memory.total / _GiB:.2f}",
                _seconds(plan.estimate.step),
                f"{plan.estimate.utilisation:.0%}",
                f"{plan.chip_hours:.2g}",
                _seconds(plan.seconds),
            )
    note = (
        f"{sweep.topology}, {sweep.topology.chips} chips. Room: how many trials the memory holds "
        "at once. Step, MFU and chip-hours are those of the roofline, which no run reaches: in all "
        f"{sweep.chip_hours:.2g} chip-hours at least{_rounds(sweep)}.{_idle(sweep)}"
    )
    return Group(table, Text(), Text(note))


def too_large(fit: "Fit", name: str, topology: "Topology") -> str:
    """Say by how much a group does not fit, and what would."""
    needed, limit = (fit.needed or 0.0) / _GiB, topology.chip.usable
    device = "a chip" if topology.chip.devices == 1 else "each device of a chip"
    nearest = (
        f"the nearest that fits is {fit.flags}"
        if fit.plan
        else "nor does any change of mesh or batch that was tried; expected a larger slice"
    )
    return (
        f"{name} does not fit: it needs {needed:.2f} GiB of {device}, which has {limit:.2f}; "
        f"{nearest}."
    )


def _rounds(sweep: "SweepPlan") -> str:
    if sweep.rounds == 1:
        return ""
    return f", if the search takes all of its {sweep.rounds} rounds, of which a row shows one"


def _idle(sweep: "SweepPlan") -> str:
    """Say how many chips have nothing to do; chip-hours count them, and MFU does not."""
    most = max((found.plan.idle for found in sweep.groups if found.plan), default=0)
    return f" Up to {most} chips are idle beside a group, which MFU leaves out." if most else ""


def _title(plan: "Plan") -> str:
    mesh = " x ".join(f"{name} {size}" for name, size in plan.mesh.items() if size > 1)
    trials = "1 trial" if plan.trials == 1 else f"{plan.trials} trials, {plan.execution},"
    idle = f", {plan.idle} of them idle" if plan.idle else ""
    return (
        f"{plan.recipe} on {plan.topology}, {plan.topology.chips} chips{idle}: {trials} of width "
        f"{plan.width}, {plan.parameters / 1e6:,.0f}M parameters, batch {plan.batch_size}, mesh "
        f"{mesh or 'of 1 device'}. Compiled in {_seconds(plan.seconds)}."
    )


def _device(plan: "Plan") -> str:
    devices = plan.topology.chip.devices
    return "a chip" if devices == 1 else f"a device (1/{devices} chip)"


def _memory(plan: "Plan") -> Iterator[tuple[str, str, str]]:
    memory = plan.memory
    parts = (
        ("parameters", memory.parameters),
        ("optimizer", memory.optimizer),
        ("batches and other inputs", memory.inputs),
        ("temporaries in use at once", memory.in_use),
        ("  activations kept, as traced", memory.activations),
        ("program", memory.code),
        ("total", memory.total),
    )
    for name, size in parts:
        yield name, f"{size / _GiB:.3f}", f"{size / memory.limit:.1%}"
    yield "there are", f"{memory.limit / _GiB:.3f}", ""


def _fits(memory: "Memory") -> str:
    left = (memory.limit - memory.total) / _GiB
    return f"It fits, with {left:.2f} GiB left."


def _work(plan: "Plan") -> Iterator[tuple[str, str, str]]:
    estimate = plan.estimate
    yield "the model's FLOPs", _quantity(plan.own_flops), _seconds(estimate.useful)
    yield "compiled FLOPs", _quantity(plan.compiled_flops), _seconds(estimate.products)
    least = plan.least
    yield "least bytes to and from memory", _quantity(least.total), _seconds(estimate.traffic)
    for name, size in (
        ("  parameters and optimizer", least.state),
        ("  gradients", least.gradients),
        ("  activations kept", least.activations),
    ):
        yield name, _quantity(size), ""
    yield "bytes moved as compiled", _quantity(plan.bytes), _seconds(estimate.moved)
    sent = sum(each.sent for each in plan.exchanges)
    yield "bytes sent to others", _quantity(sent), _seconds(estimate.exchange)


def _origins(plan: "Plan") -> Iterator[tuple[str, str, str]]:
    for name, size in plan.origins.items():
        yield name, _quantity(size), f"{size / plan.bytes:.0%}"


def _exchanges(plan: "Plan") -> "Table":
    table = _table()
    for title in ("messages", "along"):
        table.add_column(title)
    for title in ("times", "bytes sent", "seconds"):
        table.add_column(title, justify="right")
    for each in plan.exchanges:
        along = ", ".join(each.axes)
        row = (each.kind, along, str(each.times), _quantity(each.sent), _seconds(each.seconds))
        table.add_row(*row)
    return table


def _time(plan: "Plan") -> str:
    estimate = plan.estimate
    limits = {"products": "its products", "traffic": "memory traffic", "exchange": "its links"}
    left_out = [*plan.unknown, *(f"all but one trip of {loop}" for loop in plan.open)]
    unknown = f" Not counted: {', '.join(left_out)}." if left_out else ""
    peak = "the peak of those that work" if plan.idle else "peak"
    return (
        f"A step takes {_seconds(estimate.step)} at best, limited by {limits[estimate.bound]} "
        f"({_seconds(estimate.apart)} if nothing overlaps): at most "
        f"{estimate.utilisation:.0%} of {peak} (MFU). {plan.steps:,} steps are at least "
        f"{plan.chip_hours:,.2g} chip-hours.{unknown}"
    )


def _rows(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> "Table":
    table = _table()
    table.add_column(title, min_width=30)
    for column in columns:
        table.add_column(column, justify="right", min_width=8)
    for row in rows:
        table.add_row(*row)
    return table


def _table() -> "Table":
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)


def _quantity(number: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return "0 s" if seconds == 0 else f"{seconds / 1e-9:.3g} ns"

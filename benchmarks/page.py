"""docs/performance.md and its figure, from what was measured."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks import goals, quickstart, setting, step, sweep
from benchmarks.figure import performance_figure
from benchmarks.goals import Goal
from benchmarks.results import Ratio, Results
from benchmarks.side_by_side import FIRST, SECOND
from benchmarks.workers import ROOT
from transfer.report.style import to_png

PAGE, FIGURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.png"
# Parts that compare two ways of this project with each other, or one of them with a library.
WITHIN = ("population", "measurement", "optimizer", "spectrum", "convolution")

Part = Mapping[str, Any]

# Profiled by hand on the machine of the section, and on that of the steps.
_SWEEP_PROFILE = (
    "What stops it: of 25 s from a warm start, 3 go by before training (imports, the "
    "configuration), 4.5 while five programs are traced, which a cold start hides in part "
    "behind compiling, and 18 in steps: nine trials on two cores are five turns of 200 steps,"
    " a core's 18 ms each. On the machine of the section on steps, whose products are twice "
    "as fast in JAX and no faster in torch, a single block took 22.7 s cold and 18.4 s warm: "
    "2.7 and 3.4 times less than processes one after another, 1.8 and 2.2 times less than the"
    " fastest way."
)


def write(results: Results) -> None:
    """Write both files."""
    PAGE.write_text(page(results.parts))
    if results.parts.keys() & {"step", "sweep", "recipes"}:
        FIGURE.write_bytes(to_png(performance_figure(results.parts)))


def page(parts: Mapping[str, Part]) -> str:
    """The page, which says of every part that is missing that it was not measured."""
    sections = [
        _opening(parts),
        ("## A training step", _step(parts.get("step"))),
        ("## A sweep of nine learning rates", _sweep(parts.get("sweep"), parts.get("ways"))),
        ("## Two recipes, three widths, nine learning rates", _sweep(parts.get("recipes"), None)),
        ("## The quickstart", _quickstart(parts.get("quickstart"))),
        ("## Within this project", _within(parts)),
        ("## How it is measured", _method(parts)),
    ]
    return "\n\n".join("\n\n".join(filter(None, section)) for section in sections) + "\n"


def _opening(parts: Mapping[str, Part]) -> tuple[str, ...]:
    figure = "![Speed against torch](performance.png)"
    return (
        "# Performance",
        "`make bench` measures all of this anew and writes this page. Everything is a ratio of "
        "medians, between contenders that took turns on the same machine, with the lowest and the "
        "highest ratio of a single block in brackets.",
        figure if parts.keys() & {"step", "sweep", "recipes"} else "",
    )


def _step(part: Part | None) -> str:
    if not part or not part["cases"]:
        return "Not measured."
    widths = [width for width in step.WIDTHS if f"width {width}" in part["cases"]]
    by_width = {width: part["cases"][f"width {width}"] for width in widths}
    contenders = [name for name in by_width[widths[0]] if name not in (step.PEAK, step.TORCH_PEAK)]
    header = ["ms of a step of one trial, at width", *map(str, widths)]
    times = [[name, *(_spread(by_width[w][name]) for w in widths)] for name in contenders]
    against = [
        [name, *(str(Ratio.of(by_width[w][name], by_width[w][step.COMPILED])) for w in widths)]
        for name in contenders
        if name != step.COMPILED
    ]
    paragraphs = [
        f"A decoder of {setting.LAYERS} layers in float32, head dimension {setting.HEAD_DIM}, "
        f"{setting.BATCH_SIZE} sequences of {setting.SEQUENCE_LENGTH}, a vocabulary of "
        f"{setting.VOCABULARY}, AdamW, gradients clipped at {setting.CLIP:g}. Where several trials "
        "train at once, the time is divided by their number.",
        _table(header, times),
        _table([f"over {step.COMPILED}, at width", *map(str, widths)], against),
        _goals(goals.step_goals(part), f"time over that of {step.COMPILED}"),
    ]
    if share := goals.peak_share(part):
        case = f"width {step.WIDTHS[-1]}"
        measured = part["cases"][case]
        flops = part["facts"][f"{case}: FLOPs of a step"]
        rate = flops / (1e6 * statistics.median(measured[step.SIDE_BY_SIDE]))
        paragraphs += [
            f"The products of a step at {case} are {flops / 1e9:.1f} GFLOP (three times those of a "
            "forward pass, attention as if nothing were masked). With a trial per core that is "
            f"{rate:.0f} GFLOP/s. Products of two float32 matrices of {setting.PRODUCT} x "
            f"{setting.PRODUCT} on all cores reach {_spread(measured[step.PEAK], '.0f')} in JAX in "
            f"the same blocks, and {_spread(measured[step.TORCH_PEAK], '.0f')} in torch.",
            _goals([share], "GFLOP/s over those of JAX's products"),
        ]
    return "\n\n".join([*paragraphs, _under(part)])


def _sweep(part: Part | None, ways: Part | None) -> str:
    if not part or "seconds" not in part["cases"]:
        return "Not measured."
    measured = part["cases"]["seconds"]
    rows = []
    for name in (sweep.OURS, sweep.COMPILED, sweep.PROCESSES):
        found = [_spread(measured[f"{name}, {start}"], ".1f") for start in goals.SWEEP]
        rows.append([name, *found])
    for name in (sweep.IN_TURN, sweep.BEFORE):
        if name in measured:
            rows.append([name, _spread(measured[name], ".1f"), ""])
    paragraphs = [
        f"Whole commands, {setting.STEPS} steps a trial, from an empty cache of compiled programs "
        "(cold) and from the one that this left (warm). `transfer sweep` also measures singular "
        "values while it trains and writes its tables; the peers train, and evaluate held-out "
        "text.",
        _table(["seconds", *goals.SWEEP], rows),
        _goals(goals.sweep_goals(part), f"time over that of `{sweep.OURS}`"),
        "Otherwise processes were run in the way that was the fastest at width 64: "
        + "; ".join(
            f"{start}, {part['facts'][f'{sweep.PROCESSES}, {start}']}" for start in goals.SWEEP
        )
        + ".",
    ]
    if ways:
        paragraphs.append(_SWEEP_PROFILE)
        found = ways["cases"]["seconds"]
        paragraphs.append(
            _table(
                ["a process per trial", "seconds"], [[n, f"{v[0]:.1f}"] for n, v in found.items()]
            )
        )
    return "\n\n".join([*paragraphs, _under(part)])


def _quickstart(part: Part | None) -> str:
    if not part or "seconds" not in part["cases"]:
        return "Not measured."
    measured = part["cases"]["seconds"]
    said = [
        f"{who} says that "
        + ", ".join(
            f"`{name}` {'transfers' if recipe['transfers'] else 'does not transfer'} "
            f"(slope {recipe['slope']:.2f})"
            for name, recipe in verdict.items()
        )
        for who, verdict in part["facts"].items()
    ]
    goal = goals.quickstart_goal(part)
    return "\n\n".join(
        [
            "`transfer quickstart` from start to end, after installation.",
            _table(["", "seconds"], [[n, _spread(v, ".0f")] for n, v in measured.items()]),
            _goals([goal], f"time over that of {quickstart.BEFORE}") if goal else "",
            f"{'; '.join(said)}.".capitalize(),
            _under(part),
        ]
    )


def _within(parts: Mapping[str, Part]) -> str:
    rows = [
        [case, str(Ratio.of(measured[FIRST], measured[SECOND]))]
        for name in WITHIN
        for case, measured in parts.get(name, {"cases": {}})["cases"].items()
    ]
    if not rows:
        return "Not measured."
    errors = [
        f"{name.partition(':')[0]}: {value:.0e}"
        for name, value in parts.get("spectrum", {"facts": {}})["facts"].items()
    ]
    least = f"Lanczos misses of the largest singular value, relatively: {_joined(errors)}."
    return "\n\n".join([_table(["ratio of times", ""], rows), least if errors else ""]).strip()


def _method(parts: Mapping[str, Part]) -> str:
    blocks = {
        name: max(len(values) for case in part["cases"].values() for values in case.values())
        for name, part in parts.items()
        if part["cases"]
    }
    counted = ", ".join(f"{name} {count}" for name, count in blocks.items())
    return "\n\n".join(
        [
            "Steps are taken by processes that have compiled and wait; in each block every one "
            "takes as many steps as fill 0.7 seconds, and every other block goes backwards "
            "through them. Each command of a sweep or a quickstart is a new process. Settings of "
            "JAX, XLA, torch and OpenMP in the environment are taken away first.",
            "The peer is the same decoder in torch: from the same weights and batches it has the "
            "same losses to 1e-5 over ten steps (`tests/test_benchmarks.py`). Query, key and value "
            "are one product and so are gate and up, AdamW is the fused one, clipping is by "
            "`foreach`, attention is `scaled_dot_product_attention`. In single trials at widths "
            "16, 64 and 256 the fused AdamW had the lowest median of three kinds, by less than the "
            "spread at some; mode `max-autotune` was faster at width 16 and slower at 64, and is "
            "not used.",
            f"Blocks: {counted}." if counted else "",
        ]
    ).strip()


def _under(part: Part) -> str:
    under = part["under"]
    machine = under["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in under["versions"].items())
    other = f", of the other checkout {under['before'].split()[0]}" if "before" in under else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}; Python {under['python']}, {versions}; revision "
        f"{part['revision'] or 'unknown'}{other}; {part['began'][:16]} to {part['ended'][:16]} UTC."
    )


def _goals(found: Iterable[Goal], ratio: str) -> str:
    rows = [
        [
            goal.what,
            str(goal.ratio),
            f"at {'most' if goal.at_most else 'least'} {goal.bound:g}",
            "yes" if goal.reached else "**no**",
        ]
        for goal in found
    ]
    return _table(["", ratio, "goal", "reached"], rows)


def _spread(values: Sequence[float], form: str = ".3g") -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} [{low:{form}}, {high:{form}}]"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _joined(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))

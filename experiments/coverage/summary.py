"""The tables of `docs/intervals.md`."""

from collections.abc import Callable, Sequence

from experiments.coverage.measure import Row

QUANTITIES = ("optimum", "slope", "regret", "forecast")


def summary(rows: Sequence[Row]) -> str:
    """Return Markdown tables: coverage and verdicts by what a sweep has, and by what is true."""
    alike = [row for row in rows if row["bowls"] == "alike"]
    curves = [row for row in alike if row["decays"] is None]
    quiet = [row for row in curves if row["noise"] == "quiet"]
    loud = [row for row in curves if row["noise"] == "loud"]
    planes = [row for row in alike if row["decays"] is not None]
    goal = [row for row in quiet if (row["seeds"], row["widths"]) == (3, 4)]
    controls = [row for row in rows if row["bowls"] != "alike"]
    parts = [
        ("Learning rate, noise of 0.003 to 0.004 nats", quiet, _factors),
        ("Learning rate, noise of 0.015 nats", loud, _factors),
        ("Weight decay, noise of 0.003 to 0.004 nats", planes, _factors),
        ("Learning rate, 3 seeds and 4 widths", goal, _by_slope),
        ("Learning rate, bowls that differ from width to width", controls, _by_bowls),
    ]
    return "\n\n".join(f"{title}:\n\n{_table(part, by)}" for title, part, by in parts if part)


def coverage(rows: Sequence[Row], name: str) -> float | None:
    """Return the share of a quantity's intervals that hold the truth, None without any."""
    told = sum(row[f"{name}_told"] for row in rows)
    return sum(row[f"{name}_held"] for row in rows) / told if told else None


def decided(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the share of verdicts that decide, and the share of those that are wrong."""
    made = [row for row in rows if row["answer"] != "undecided"]
    return len(made) / len(rows), sum(row["wrong"] for row in made) / max(len(made), 1)


_Factors = Callable[[Row], dict[str, str]]


def _factors(row: Row) -> dict[str, str]:
    grid = f"{row['rates']} at {row['spacing']:g} octaves"
    if row["decays"] is not None:
        grid = f"{row['rates']} x {row['decays']} decays"
    return {
        "all": "",
        "seeds": str(row["seeds"]),
        "widths": str(row["widths"]),
        "grid": grid,
        "shape": row["shape"],
        "true slope": f"{row['true_slope']:z.2f}",
    }


def _by_slope(row: Row) -> dict[str, str]:
    return {"true slope": f"{row['true_slope']:z.2f}"}


def _by_bowls(row: Row) -> dict[str, str]:
    bowls = row["bowls"]
    grid = f"{row['rates']} at {row['spacing']:g} octaves"
    return {
        "bowls": bowls,
        "widths": f"{row['widths']}, bowls {bowls}",
        "grid": f"{grid}, bowls {bowls}",
    }


def _table(rows: Sequence[Row], factors: _Factors) -> str:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for name, level in factors(row).items():
            groups.setdefault((name, level), []).append(row)
    order = {name: place for place, name in enumerate(factors(rows[0]))}
    titles = ["", "sweeps", *QUANTITIES, "slope's length", "decided", "wrong of decided"]
    lines = [titles, ["---"] * len(titles)]
    for (name, level), found in sorted(groups.items(), key=lambda item: (order[item[0][0]], item)):
        shares = [coverage(found, each) for each in QUANTITIES]
        lengths = sorted(each for row in found if (each := row["slope_length"]) is not None)
        middle = f"{lengths[len(lengths) // 2]:.2f}" if lengths else "-"
        made, wrong = decided(found)
        cells = ["-" if share is None else f"{share:.1%}" for share in shares]
        label = f"{name} {level}".strip()
        lines.append([label, str(len(found)), *cells, middle, f"{made:.0%}", f"{wrong:.1%}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The tables of the README, from the counts and the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.compound_scaling.judge import KINDS
from transfer.scaling.compound import COMPOUNDS


def summary(table: Sequence[Mapping], verdict: Mapping[str, Any]) -> str:
    """Return Markdown tables: exponents by way of scaling, and the largest of each network."""
    largest = (
        _largest([row for row in table if row["network"] == network], verdict)
        for network in verdict["networks"]
    )
    return "\n\n".join([_exponents(verdict), *largest])


def _exponents(verdict: Mapping[str, Any]) -> str:
    networks = verdict["networks"]
    columns = [f"{kind}, {name}" for kind in KINDS for name in ("theory", *networks)]
    rows = []
    for scaling, compound in COMPOUNDS.items():
        row = [scaling]
        for kind in KINDS:
            row.append(str(getattr(compound, kind)))
            row += [_cell(found[scaling][kind]) for found in networks.values()]
        rows.append(row)
    return _table(["scaling", *columns], rows)


def _largest(rows: Sequence[Mapping], verdict: Mapping[str, Any]) -> str:
    name, growth = rows[0]["network"], verdict["growth"]
    rows = [
        [
            row["scaling"],
            " ".join(map(str, row["stages"])),
            str(row["width"]),
            str(row["resolution"]),
            *(
                f"{grown:.1f}"
                for grown in verdict["networks"][name][row["scaling"]]["grown"].values()
            ),
        ]
        for row in rows
        if row["growth"] == growth
    ]
    titles = ["blocks", "width", "pixels", "FLOPs x", *(f"{kind} x" for kind in KINDS)]
    return _table([f"{name}, {growth} times the FLOPs", *titles], rows)


def _cell(found: Mapping[str, Any]) -> str:
    text = f"{found['value']:z.2f}"
    return text if found["agrees"] else f"**{text}**"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

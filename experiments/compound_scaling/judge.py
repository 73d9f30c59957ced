"""From the table to the verdict: the powers of FLOPs by which counts grow, beside the theory's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.scaling.compound import COMPOUNDS

Row = Mapping[str, Any]

# An exponent agrees when no other of the theory's is nearer. The two nearest, 3/4 and 5/6, are 1/12
# apart.
TOLERANCE = 1 / 24
KINDS = ("activations", "parameters")


def judge(table: Sequence[Row]) -> dict[str, Any]:
    """Return the verdict as plain JSON."""
    networks = dict.fromkeys(row["network"] for row in table)
    found = {
        network: {
            scaling: _exponents(scaling, [row for row in table if row["network"] == network])
            for scaling in COMPOUNDS
        }
        for network in networks
    }
    exponents = [each[kind] for ways in found.values() for each in ways.values() for kind in KINDS]
    off = [round(each["value"] - each["predicted"], 3) for each in exponents]
    return {
        "answer": {
            "agree": sum(each["agrees"] for each in exponents),
            "of": len(exponents),
            "furthest_off": max(off, key=abs),
        },
        "tolerance": round(TOLERANCE, 4),
        "growth": max(row["growth"] for row in table),
        "networks": found,
    }


def exponent(rows: Sequence[Row], kind: str) -> float:
    """Slope of log count over log FLOPs by least squares, from exact FLOPs and not those asked."""
    logs = {name: np.log([float(row[name]) for row in rows]) for name in ("flops", kind)}
    return float(np.polyfit(logs["flops"], logs[kind], 1)[0])


def _exponents(scaling: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Exponents of one way of scaling, and by how much the largest network has grown."""
    rows = sorted((row for row in rows if row["scaling"] == scaling), key=lambda row: row["growth"])
    judged: dict[str, Any] = {}
    for kind in KINDS:
        value, theory = exponent(rows, kind), float(getattr(COMPOUNDS[scaling], kind))
        judged[kind] = {
            "value": round(value, 3),
            "predicted": round(theory, 3),
            "agrees": abs(value - theory) < TOLERANCE,
        }
    grown = {kind: round(rows[-1][kind] / rows[0][kind], 2) for kind in ("flops", *KINDS)}
    return judged | {"grown": grown}

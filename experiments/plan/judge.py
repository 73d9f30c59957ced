"""From the table to the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.plan.programs import DEEP_TOKENS, DEEP_WIDTH

Row = Mapping[str, Any]

# Of 16 times as many layers or trials, compiling may take this many times as long and still be
# called constant: the time of one compilation varies by less.
CONSTANT = 1.5
# "With room": at most half of a chip's memory.
ROOM = 0.5
# GiB of temporaries of the leanest program known for the same model, batch and slice, MaxText's.
LEANEST = 1.21


def judge(table: Sequence[Row]) -> dict[str, Any]:
    """Return the verdict as plain JSON."""
    trials = [row for row in table if row["part"] in ("trials", "one a chip", "trial axis")]
    large = [row for row in table if row["part"] == "7B"]
    (wide,) = [row for row in table if row["part"] == "width 2048"]
    gathered = _gathered([row for row in table if row["part"] == "depth"])
    compiling = {name: _growth(rows) for name, rows in series(table).items()}
    return {
        "no_message_along_trial": {
            "programs": len(trials),
            "holds": all(row["sent_trial"] == 0 and row["messages"] == 0 for row in trials),
        },
        "gathered_layer_by_layer": gathered,
        "as_lean_as_the_leanest": {
            "temporaries": round(wide["bytes_temporaries"] / 2**30, 3),
            "leanest": LEANEST,
            "holds": wide["bytes_temporaries"] <= LEANEST * 2**30,
        },
        "7B_fits_with_room": {
            row["topology"]: {
                "share": round(total(row) / row["bytes_limit"], 3),
                "holds": total(row) < ROOM * row["bytes_limit"],
            }
            for row in large
        },
        "compiling_takes_as_long": {
            name: {"times_as_long": round(growth, 2), "holds": growth < CONSTANT}
            for name, growth in compiling.items()
        },
    }


def total(row: Row) -> float:
    """Bytes of a chip, as they are held against its limit."""
    return row["bytes_peak"] + row["bytes_code"]


def series(table: Sequence[Row]) -> dict[str, list[Row]]:
    """Programs that differ in their number of layers or of trials alone, by name."""
    on_four = [row for row in table if row["part"] == "trials"]
    return {
        "layers": [row for row in table if row["part"] == "depth"],
        "trials, one a chip": [row for row in table if row["part"] == "one a chip"],
        "trials on 4 chips, in turn": [row for row in on_four if row["execution"] == "in_turn"],
        "trials on 4 chips, vectorised": [row for row in on_four if row["execution"] != "in_turn"],
    }


def _growth(rows: Sequence[Row]) -> float:
    return rows[-1]["processor"] / rows[0]["processor"]


def _gathered(rows: Sequence[Row]) -> dict[str, Any]:
    """What a layer adds to the temporaries: its input, against its matrices in full."""
    slope = np.polyfit(
        [row["layers"] for row in rows], [row["bytes_temporaries"] for row in rows], 1
    )
    # In bfloat16: the input that rematerialisation keeps, and 4 + 3 x 3 matrices of width^2.
    kept, matrices = 2.0 * DEEP_TOKENS * DEEP_WIDTH, 2.0 * 13 * DEEP_WIDTH**2
    return {
        "bytes_a_layer": round(float(slope[0])),
        "input": kept,
        "matrices": matrices,
        "holds": bool(slope[0] < kept + matrices / 4),
    }

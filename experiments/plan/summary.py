"""The tables of the README."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.plan.judge import series, total

_GIB = 2.0**30


def summary(table: Sequence[Mapping[str, Any]]) -> str:
    """Return Markdown tables: the large programs, those of many trials, and compiling."""
    large = [row for row in table if row["part"] in ("width 2048", "7B")]
    trials = [row for row in table if row["part"] == "trial axis"]
    return "\n\n".join([_large(large), _trials(trials), _compiling(table)])


def _large(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = [
        "a chip of",
        "width",
        "parameters and optimizer",
        "inputs",
        "temporaries",
        "in use at once",
        "of",
        "FLOPs",
        "the model's",
        "sent",
        "step at best",
        "MFU at best",
    ]
    lines = [
        [
            f"{row['topology']}, {row['mesh']}",
            row["width"],
            f"{(row['bytes_parameters'] + row['bytes_optimizer']) / _GIB:.3f}",
            f"{row['bytes_inputs'] / _GIB:.3f}",
            f"{row['bytes_temporaries'] / _GIB:.2f}",
            f"{row['bytes_peak'] / _GIB:.2f}",
            f"{row['bytes_limit'] / _GIB:.2f} GiB",
            f"{row['compiled_flops'] / 1e12:.1f}e12",
            f"{row['model_flops'] / 1e12:.1f}e12",
            f"{row['sent_fsdp'] / 1e9:.1f} GB",
            f"{row['step'] * 1e3:.0f} ms",
            f"{row['utilisation']:.0%}",
        ]
        for row in rows
    ]
    return _table(titles, lines)


def _trials(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = ["slice", "trials", "execution", "messages", "GiB of a chip"]
    lines = [
        [
            row["topology"],
            row["trials"],
            row["execution"],
            row["messages"],
            f"{total(row) / _GIB:.3f}",
        ]
        for row in rows
    ]
    return _table(titles, lines)


def _compiling(table: Sequence[Mapping[str, Any]]) -> str:
    found = series(table)
    counts = [row["layers"] for row in found["layers"]]
    lines = [[name, *(f"{row['processor']:.0f} s" for row in rows)] for name, rows in found.items()]
    return _table(["processor time to compile", *map(str, counts)], lines)


def _table(titles: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)

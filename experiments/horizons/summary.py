"""The tables of the README."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Decided before the runs: what counts as agreement at a width and horizon.
LEAST_RANK, MOST_OCTAVES, MOST_REGRET = 0.9, 0.25, 0.002


def summary(trials: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> str:
    """Return Markdown: agreement by pair, width and horizon, then what training cost."""
    return f"{_agreement(found)}\n\n{_costs(trials)}"


def agrees(row: Mapping[str, Any]) -> bool:
    """Whether a width and horizon meet all that was decided before the runs."""
    rank, octaves = row["rank_correlation"], row["octaves"]
    return (
        rank is not None
        and rank >= LEAST_RANK
        and octaves is not None
        and abs(octaves) <= MOST_OCTAVES
        and row["regret"] <= MOST_REGRET
    )


def _agreement(found: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| read off | runs | width | steps | rank corr. | octaves | regret | offset | agrees |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = sorted(found, key=lambda r: (r["runs"], r["read_off"], r["width"], r["steps"]))
    for row in order:
        octaves = "undecided" if row["octaves"] is None else f"{row['octaves']:+.2f}"
        lines.append(
            f"| {row['read_off']} | {row['runs']} | {row['width']} | {row['steps']} | "
            f"{row['rank_correlation']:.2f} | {octaves} | {100 * row['regret']:.2f} % | "
            f"{100 * row['offset']:+.1f} % | {'yes' if agrees(row) else 'no'} |"
        )
    return "\n".join(lines)


def _costs(trials: Sequence[Mapping[str, Any]]) -> str:
    total = {
        kind: sum(row["flops"] for row in trials if row["kind"] == kind)
        for kind in ("trunk", "branch", "cosine", "wsd")
    }
    diverged = sum(row["status"] == "diverged" for row in trials)
    share = total["trunk"] / total["cosine"]
    return (
        f"Trunks with their branches took {total['trunk']:.3g} FLOPs, {share:.0%} of the "
        f"{total['cosine']:.3g} of runs of every length; {diverged} of {len(trials)} diverged. "
        f"Seeds differ by {_noise(trials):.4f} nats (pooled standard deviation of whole runs)."
    )


def _noise(trials: Sequence[Mapping[str, Any]]) -> float:
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in trials:
        if row["kind"] == "cosine" and row["status"] == "completed":
            key = (row["width"], row["steps"], row["learning_rate"])
            groups.setdefault(key, []).append(row["eval_loss"])
    spreads = [np.var(losses, ddof=1) for losses in groups.values() if len(losses) > 1]
    return float(np.sqrt(np.mean(spreads)))

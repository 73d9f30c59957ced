"""What the table says: how often measured and predicted slopes agree, and where they do not."""

from collections.abc import Mapping, Sequence
from statistics import median

from experiments.regimes import predictions
from transfer.scaling import Exponents, RegimeReport, classify_regime


def summary(table: Sequence[Mapping], tolerance: float) -> str:
    """Return the numbers of the README, and a line for every disagreement."""
    lines = []
    kinds = dict.fromkeys((row["part"], row["family"], row["steps"]) for row in table)
    for part, family, steps in kinds:
        rows = [
            row
            for row in table
            if (row["part"], row["family"], row["steps"]) == (part, family, steps)
        ]
        off = [abs(row["slope"] - row["predicted"]) for row in rows if row["predicted"] is not None]
        lines.append(f"{part}, {family}, {steps} steps: off by {median(off):.3f} in the median")
        lines += (_stable if rows[0]["regime"] != "unstable" else _unstable)(rows, tolerance)
        lines += [f"    disagrees: {_line(row)}" for row in rows if not row["agrees"]]
    return "\n".join(lines)


def _stable(rows: Sequence[Mapping], tolerance: float) -> list[str]:
    lines = []
    for quantity in sorted({row["quantity"] for row in rows}):
        lines.append(f"  {quantity}: {_share([r for r in rows if r['quantity'] == quantity])}")
    last = [row for row in rows if row["quantity"] == _last_features(rows)]
    right = [(row["slope"] > -tolerance) == (row["regime"] == "feature learning") for row in last]
    lines.append(f"  regime: {sum(right)} of {len(right)}")
    if last[0]["part"] == "isolated":
        return lines + [f"    {_line(row)}" for row in last]
    verdicts = [_verdict(row) for row in last]
    for rival in predictions.rivals(verdicts[0]):
        wrong = [
            abs(row["slope"] - predictions.rivals(verdict)[rival]) < tolerance
            for row, verdict in zip(last, verdicts, strict=True)
        ]
        lines.append(f"  last features if {rival}: {sum(wrong)} of {len(wrong)}")
    return lines


def _unstable(rows: Sequence[Mapping], tolerance: float) -> list[str]:
    lines = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        named, rest = (
            [r for r in rows if r["condition"] == condition and (r["predicted"] is None) == bound]
            for bound in (False, True)
        )
        # In the direction predicted, and by more than a stable quantity may.
        departs = [row["slope"] * (1 if row["predicted"] > 0 else -1) > tolerance for row in named]
        lines.append(
            f"  {condition}: departs {sum(departs)} of {len(departs)}, "
            f"at the rate {_share(named)}; nothing else grows {_share(rest)}"
        )
        stable = [classify_regime(_verdict(row).exponents, "full").stable for row in named]
        lines.append(f"    called stable under the alignment `full`: {sum(stable)} of {len(named)}")
    return lines


def _line(row: Mapping) -> str:
    return (
        f"{row['network']} ({row['condition'] or row['regime']}): {row['quantity']} "
        f"{row['slope']:+.3f} +- {row['standard_error']:.3f}, predicted {row['predicted']}"
    )


def _share(rows: Sequence[Mapping]) -> str:
    return f"{sum(row['agrees'] for row in rows)} of {len(rows)}"


def _last_features(rows: Sequence[Mapping]) -> str:
    return max(row["quantity"] for row in rows if row["quantity"].startswith("features"))


def _verdict(row: Mapping) -> RegimeReport:
    return classify_regime(Exponents.parse(row["network"], row["family"]))

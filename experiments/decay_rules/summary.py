"""The tables of the README, from the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

_EQUAL = {"at_equal_decay_times": "equal decay times", "at_equal_steps": "equal steps"}


def summary(verdict: Mapping[str, Any]) -> str:
    """Return Markdown tables: slopes by rule, p by setting, p and growth over a long training."""
    return "\n\n".join([_rules(verdict), _settings(verdict["p"]), _long(verdict["long"])])


def _rules(verdict: Mapping[str, Any]) -> str:
    rows = []
    for key, compared in _EQUAL.items():
        for recipe, judged in verdict["rules"].items():
            for matrix in ("first", "second"):
                found = judged[key][matrix]
                p = judged[key]["measured"][matrix]["p"]
                rows.append(
                    [
                        f"`{recipe}`, {compared}",
                        matrix,
                        f"{found['sigma_1']['predicted']:+z.2f}",
                        checked(found["sigma_1"]),
                        checked(found["gain"]),
                        cell(found["rms"], "+z.2f"),
                        cell(found["alignment"], "+z.2f"),
                        cell(p),
                    ]
                )
    titles = ["rule", "matrix", "predicted", "sigma_1", "gain", "RMS", "alignment", "p"]
    return table(titles, rows)


def _settings(settings: Mapping[str, Any]) -> str:
    rows = []
    for setting, by_time in settings.items():
        for matrix in next(iter(by_time.values())):
            last = [found[matrix] for found in by_time.values()]
            cells = [cell(found["p"]) for found in last]
            rows.append([setting, matrix, *cells, cell(last[-1]["decay_exponent"])])
    times = list(next(iter(settings.values())))
    titles = ["setting", "matrix", *(f"p after {each}" for each in times), "2p - 1, after the last"]
    return table(titles, rows)


def _long(long: Mapping[str, Any]) -> str:
    found = {f"{times} decay times": p for times, p in long["p"].items()}
    for ratio, p in long["p_at_decay_times_per_width"].items():
        found[f"{ratio} decay times x width"] = p
    rows = [[what, cell(p["first"]["p"]), cell(p["second"]["p"])] for what, p in found.items()]
    growth = [
        [f"width {width}", cell(found["first"]), cell(found["second"])]
        for width, found in long["growth_with_decay_times"].items()
    ]
    tables = [
        table(["after", "p of the first", "p of the second"], rows),
        table(["growth with decay times", "first", "second"], growth),
    ]
    return "\n\n".join(tables)


def checked(found: Mapping[str, Any]) -> str:
    """A slope with its interval, bold where it does not agree."""
    text = cell(found, "+z.2f")
    return text if found["agrees"] else f"**{text}**"


def cell(found: Mapping[str, Any], form: str = ".2f") -> str:
    """A number with its interval."""
    low, high = found["interval"]
    return f"{found['value']:{form}} [{low:{form}}, {high:{form}}]"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

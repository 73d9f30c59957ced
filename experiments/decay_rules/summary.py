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
                        _checked(found["sigma_1"]),
                        _checked(found["gain"]),
                        _cell(found["rms"], "+z.2f"),
                        _cell(found["alignment"], "+z.2f"),
                        _cell(p),
                    ]
                )
    titles = ["rule", "matrix", "predicted", "sigma_1", "gain", "RMS", "alignment", "p"]
    return _table(titles, rows)


def _settings(settings: Mapping[str, Any]) -> str:
    rows = []
    for setting, by_time in settings.items():
        for matrix in next(iter(by_time.values())):
            last = [found[matrix] for found in by_time.values()]
            cells = [_cell(found["p"]) for found in last]
            rows.append([setting, matrix, *cells, _cell(last[-1]["decay_exponent"])])
    times = list(next(iter(settings.values())))
    titles = ["setting", "matrix", *(f"p after {each}" for each in times), "2p - 1, after the last"]
    return _table(titles, rows)


def _long(long: Mapping[str, Any]) -> str:
    found = {f"{times} decay times": p for times, p in long["p"].items()}
    for ratio, p in long["p_at_decay_times_per_width"].items():
        found[f"{ratio} decay times x width"] = p
    rows = [[what, _cell(p["first"]["p"]), _cell(p["second"]["p"])] for what, p in found.items()]
    growth = [
        [f"width {width}", _cell(found["first"]), _cell(found["second"])]
        for width, found in long["growth_with_decay_times"].items()
    ]
    tables = [
        _table(["after", "p of the first", "p of the second"], rows),
        _table(["growth with decay times", "first", "second"], growth),
    ]
    return "\n\n".join(tables)


def _checked(found: Mapping[str, Any]) -> str:
    text = _cell(found, "+z.2f")
    return text if found["agrees"] else f"**{text}**"


def _cell(found: Mapping[str, Any], form: str = ".2f") -> str:
    low, high = found["interval"]
    return f"{found['value']:{form}} [{low:{form}}, {high:{form}}]"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

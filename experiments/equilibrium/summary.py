"""The tables of the README, from the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.equilibrium.judge import FEED_FORWARD


def summary(verdict: Mapping[str, Any]) -> str:
    """Return Markdown tables: arms beside the paper, exponents, speed, ratios by kind, ends."""
    tables = [
        _beside(verdict),
        _exponents(verdict),
        _halfway(verdict),
        _kinds(verdict),
        _final(verdict),
    ]
    return "\n\n".join(tables)


def _beside(verdict: Mapping[str, Any]) -> str:
    rows = []
    for arm, found in _arms(verdict, FEED_FORWARD):
        paper = verdict["paper"][arm]
        rows.append(
            [
                arm if found["steps"] == verdict["steps"] else f"{arm}, {found['steps']} steps",
                f"{found['decay_times']:.1f}{'' if found['settled'] else ', unsettled'}",
                f"{found['gain']['predicted']:.3f}",
                _checked(found["gain"]),
                f"{paper['gain']:.3f}",
                _checked(found["sigma_1"]),
                f"{paper['sigma_1']:.3f}",
                _checked(found["rms"]),
            ]
        )
    titles = ["arm", "decay times", "theory", "gain", "paper", "sigma_1", "paper", "RMS"]
    return _table(titles, rows)


def _exponents(verdict: Mapping[str, Any]) -> str:
    rows = [
        [kind, *(_cell(found[q][of]) for of in ("decay", "lr_times_decay") for q in found)]
        for kind, found in verdict["exponents"].items()
    ]
    names = list(verdict["exponents"][FEED_FORWARD])
    titles = [f"{name} ~ {of}^" for of in ("decay", "(lr decay)") for name in names]
    return _table(["sublayer", *titles], rows)


def _halfway(verdict: Mapping[str, Any]) -> str:
    rows = [
        [arm, *("" if each is None else _cell(each) for each in found.values())]
        for arm, found in verdict["halfway"].items()
    ]
    return _table(["decay times to halfway", *verdict["halfway"]["base"]], rows)


def _kinds(verdict: Mapping[str, Any]) -> str:
    arms = list(verdict["at_equal_steps"][FEED_FORWARD])
    rows = [
        [kind, quantity, *(_checked(found[arm][quantity]) for arm in arms)]
        for kind, found in verdict["at_equal_steps"].items()
        for quantity in ("gain", "sigma_1")
    ]
    return _table(["sublayer", "ratio of", *arms], rows)


def _final(verdict: Mapping[str, Any]) -> str:
    rows = []
    for arm, found in verdict["final"].items():
        cells = [_cell(found[q]) for q in ("gain", "sigma_1", "alignment", "stable_rank")]
        rows.append(
            [
                arm,
                *cells,
                f"{found['over_equilibrium_rms']:.2f}",
                " ".join(f"{ratio:.2f}" for ratio in found["shape"]),
                "" if found["eval_loss"] is None else f"{found['eval_loss']:.3f}",
            ]
        )
    titles = ["arm", "gain", "sigma_1", "alignment", "stable rank", "RMS / equilibrium"]
    return _table([*titles, "sigma_2, 3, 4 / sigma_1", "held-out loss"], rows)


def _arms(verdict: Mapping[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    """The arms after equal steps, then those that went on."""
    found = [
        (
            arm,
            {
                "steps": verdict["steps"],
                "decay_times": verdict["decay_times"][arm],
                "settled": verdict["settled"][arm],
                **each,
            },
        )
        for arm, each in verdict["at_equal_steps"][kind].items()
    ]
    longer = [
        (arm, {"steps": each["steps"], "decay_times": each["decay_times"], "settled": True}
         | each[kind])
        for arm, each in verdict["after_longer"].items()
    ]  # fmt: skip
    return found + longer


def _checked(found: Mapping[str, Any]) -> str:
    text = _cell(found)
    return f"**{text}**" if found["agrees"] is False else text


def _cell(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:z.2f} [{low:z.2f}, {high:z.2f}]"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

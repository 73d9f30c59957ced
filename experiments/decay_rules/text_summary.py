"""The tables of the README on the transformer, from the verdict."""

from collections.abc import Mapping
from typing import Any

from experiments.decay_rules.summary import cell, checked, table
from experiments.decay_rules.text_judge import COMPARED, MEAN

_EQUAL = {"at_equal_steps": "equal steps", "at_equal_decay_times": "equal decay times"}


def summary(verdict: Mapping[str, Any]) -> str:
    """Return Markdown tables: how long runs lasted, slopes by rule, p by kind, calibration."""
    return "\n\n".join(
        [
            _lasted(verdict),
            _slopes(verdict, COMPARED[0]),
            *(_p(verdict, key) for key in COMPARED),
            _shape(verdict),
            _calibrated(verdict["calibrated"]),
        ]
    )


def _lasted(verdict: Mapping[str, Any]) -> str:
    widths = sorted(_any(verdict)["decay_times"], key=int)
    rows = [
        [f"`{rule}`", what, *(f"{found[key][width]:{form}}" for width in widths)]
        for rule, found in verdict["rules"].items()
        for what, key, form in (
            ("decay times", "decay_times", ".1f"),
            ("held-out loss", "eval_loss", ".2f"),
            ("RMS / equilibrium", "over_equilibrium_rms", ".2f"),
        )
    ]
    return table(["rule", "at width", *widths], rows)


def _slopes(verdict: Mapping[str, Any], key: str) -> str:
    rows = []
    for rule, judged in verdict["rules"].items():
        for kind, found in _kinds(judged[key]).items():
            rows.append(
                [
                    f"`{rule}`",
                    kind,
                    f"{found['sigma_1']['predicted']:+z.2f}",
                    checked(found["sigma_1"]),
                    found["invariance"],
                    checked(found["gain"]),
                    cell(found["rms"], "+z.2f"),
                    cell(found["alignment"], "+z.2f"),
                ]
            )
    titles = ["sublayer", "predicted", "sigma_1", "verdict", "gain", "RMS", "alignment"]
    return table([f"rule, {_EQUAL[key]}", *titles], rows)


def _p(verdict: Mapping[str, Any], key: str) -> str:
    rules = list(verdict["rules"])
    rows = [
        [kind, *(cell(verdict["rules"][rule][key]["measured"][kind]["p"]) for rule in rules)]
        for kind in _kinds(_any(verdict)[key])
    ]
    return table([f"p, {_EQUAL[key]}", *(f"`{rule}`" for rule in rules)], rows)


def _shape(verdict: Mapping[str, Any]) -> str:
    key = COMPARED[0]
    rules = verdict["rules"]
    rows = [
        [kind, *(cell(judged[key][kind]["sigma_1_over_rms"]) for judged in rules.values())]
        for kind in _kinds(_any(verdict)[key])
    ]
    return table(["sigma_1 / RMS ~ width^", *(f"`{rule}`" for rule in rules)], rows)


def _calibrated(found: Mapping[str, Any]) -> str:
    arms = list(found["by_runs"])
    rows = [
        [
            kind,
            cell(p),
            *(f"{found['exponents'][arm][kind]:z.2f}" for arm in arms[1:]),
            *(f"{found['by_law'][arm][kind]:+z.2f}" for arm in arms),
            *(cell(found["by_runs"][arm]["slopes"][kind], "+z.2f") for arm in arms),
        ]
        for kind, p in found["p"].items()
    ]
    level = [
        "from level",
        *[""] * len(arms),
        *(f"{found['by_law'][arm]['from_level']:.2f}" for arm in arms),
        *(cell(found["by_runs"][arm]["from_level"]) for arm in arms),
    ]
    titles = [
        "sublayer",
        "p",
        *(f"exponent, {arm}" for arm in arms[1:]),
        *(f"law, {arm}" for arm in arms),
        *(f"run, {arm}" for arm in arms),
    ]
    return table(titles, [*rows, level])


def _any(verdict: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(iter(verdict["rules"].values()))
    return found


def _kinds(found: Mapping[str, Any]) -> dict[str, Any]:
    """Slopes by kind, without what was measured of all, the mean over kinds last."""
    kinds = {kind: each for kind, each in found.items() if kind not in ("measured", MEAN)}
    return kinds | {MEAN: found[MEAN]}

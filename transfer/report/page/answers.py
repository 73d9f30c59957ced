"""The verdict in words: what the page says before it shows anything."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.report.verdict_rows import verdict_rows
from transfer.report.words import ANSWERS, invariance, with_interval


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a run says of one recipe; `rows` are those of `verdict_rows`.

    `gain` says whether the top singular values are invariant, and `sublayers` are rows of a name,
    the verdict in a word, and the sentence behind it.
    """

    recipe: str
    transfers: str
    word: str
    reason: str
    slope: str
    regrets: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]
    gain: str
    sublayers: Sequence[tuple[str, str, str]]


def answers(verdict: Mapping[str, Any]) -> list[Answer]:
    """Return the answer of every recipe, in the verdict's order.

    Example:
      >>> judged = {"transfers": "undecided", "reason": "One width has no slope.", "slope": None,
      ...           "slope_reason": "one width", "zero_shot": {}, "best_loss": {},
      ...           "spectrum_slope": {}, "optimum_log2_learning_rate": {}}
      >>> answers({"recipes": {"mup": judged}})[0].slope
      'unknown: one width'
    """
    return [
        Answer(
            recipe=recipe,
            transfers=judged["transfers"],
            word=ANSWERS[judged["transfers"]],
            reason=judged["reason"],
            slope=_slope(judged),
            regrets=[(width, _regret(shot)) for width, shot in judged["zero_shot"].items()],
            rows=verdict_rows(judged),
            gain=_gain(judged["spectrum_slope"]),
            sublayers=[
                (name, slope["invariance"], slope["reason"])
                for name, slope in judged["spectrum_slope"].items()
            ],
        )
        for recipe, judged in verdict["recipes"].items()
    ]


def spent(compute: Mapping[str, Any]) -> str:
    """Return what tuning on proxies cost, in a sentence.

    Example:
      >>> spent({"proxy_flops": 2e12, "target_tuning_flops": 8e12, "ratio": 0.25})
      'Tuning on the proxies took 2.0e+12 floating-point operations, 25 % of tuning at the target.'
      >>> spent({"ratio": None, "reason": "no recipe has two widths"})
      'What tuning on proxies saves is unknown: no recipe has two widths.'
    """
    if compute["ratio"] is None:
        return f"What tuning on proxies saves is unknown: {compute['reason']}."
    flops = f"{compute['proxy_flops']:.1e} floating-point operations"
    share = f"{100 * compute['ratio']:.0f} % of tuning at the target"
    return f"Tuning on the proxies took {flops}, {share}."


def _gain(slopes: Mapping[str, Any]) -> str:
    return invariance(slopes) if slopes else "not recorded at two widths"


def _slope(judged: Mapping[str, Any]) -> str:
    if judged["slope"] is None:
        return f"unknown: {judged['slope_reason']}"
    return with_interval(judged["slope"], judged["slope_interval"], "+z.2f")


def _regret(shot: Mapping[str, Any]) -> str:
    if shot["relative_regret"] is None:
        return "diverged" if shot["diverged"] else f"unknown: {shot['reason']}"
    return with_interval(shot["relative_regret"], shot["relative_interval"], "+.2%")

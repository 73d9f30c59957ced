"""Whether the top singular value of a sublayer keeps its size as width grows."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from transfer.analysis.estimate import Estimate, Interval
from transfer.analysis.measured_decay import MeasuredDecay
from transfer.analysis.spectrum import SETTLED, SpectrumSlope, named_recipe
from transfer.markup import html_paragraph

Answer = Literal["invariant", "drifts as predicted", "differs", "undecided", "not settled"]

GAIN_BAND = 0.125
"""How far a slope may lie from level, or from its prediction, and still count as being there.

Half of the quarter by which neighbouring decay rules differ: nearer to one of them than to the
next. Fixed before any run, never fitted to one.
"""


@dataclasses.dataclass(frozen=True)
class Invariance:
    """The answer on one sublayer, the sentence with the numbers behind it, and its p.

    p is unknown where runs have not settled, and under a measured decay, whose exponents a
    recipe's name does not tell.
    """

    answer: Answer
    reason: str
    measured: MeasuredDecay

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"invariance": self.answer, "reason": self.reason, **self.measured.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Invariance":
        """Read what `to_json` wrote; other keys are ignored."""
        measured = MeasuredDecay(Estimate.from_json(content["p"]))
        return cls(content["invariance"], content["reason"], measured)

    def _repr_html_(self) -> str:
        """The sentence, for notebooks; it begins with the answer."""
        return html_paragraph(self.reason)


def judge_invariance(found: SpectrumSlope, recipe: str) -> Invariance:
    """Say whether sigma_1 of a sublayer is invariant over width, and what the recipe predicts.

    `not settled` when a run lasted fewer than 3 decay times: the prediction is not for it.
    `invariant` when the slope's interval lies within 1/8 of 0, whatever is predicted. Otherwise
    `drifts as predicted` when it lies within 1/8 of the prediction, `differs` when all of it lies
    farther from there, and `undecided` when an end does. One seed has no interval, and its slope is
    judged by itself.

    Example:
      >>> drift = SpectrumSlope(Estimate(0.27, (0.24, 0.29)), 0.25, {32: 9.0, 64: 9.0}, -6.0, {})
      >>> judged = judge_invariance(drift, "mup+constant")
      >>> judged.answer, judged.measured.p.value
      ('drifts as predicted', 0.77)
    """
    if not found.is_settled:
        width, times = min(found.decay_times.items(), key=lambda item: item[1])
        return Invariance(
            "not settled",
            f"Not settled, so not judged: the run at width {width} lasted {times:.2g} decay times, "
            f"and until {SETTLED:g} sigma_1 tells of its init.",
            MeasuredDecay(Estimate(None, reason="runs have not settled")),
        )
    assert found.slope.value is not None  # there are two widths
    interval = found.slope.interval or (found.slope.value, found.slope.value)
    answer: Answer
    if _within(interval, 0.0):
        answer = "invariant"
    elif _within(interval, found.predicted):
        answer = "drifts as predicted"
    elif _beyond(interval, found.predicted):
        answer = "differs"
    else:
        answer = "undecided"
    seen = (
        f"{answer.capitalize()}: sigma_1 ~ width^{found.slope.text('+z.2f')}, where "
        f"{found.predicted:+z.2f} is predicted"
    )
    named = named_recipe(recipe)
    if named is None:
        unknown = Estimate(None, reason="a measured decay has exponents of its own")
        return Invariance(answer, f"{seen}.", MeasuredDecay(unknown))
    measured = MeasuredDecay.of(found.slope, named)
    return Invariance(
        answer,
        f"{seen}; p is {measured.p.text('z.2f')}, for which decay ~ "
        f"width^{measured.exponent.text('z.2f')} keeps it level under muP's rates.",
        measured,
    )


def _within(interval: Interval, centre: float) -> bool:
    return centre - GAIN_BAND <= interval[0] and interval[1] <= centre + GAIN_BAND


def _beyond(interval: Interval, centre: float) -> bool:
    return interval[1] < centre - GAIN_BAND or centre + GAIN_BAND < interval[0]

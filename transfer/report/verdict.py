"""A sweep's verdict in words: one description, for the terminal, notebooks, the page and as text.

`answers` describes what is said of the learning rate and `spectrum_table` and `invariance_html`
what is said of singular values; figures take their titles from here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfer.analysis import (
    Estimate,
    Optimum,
    RecipeVerdict,
    Regret,
    SublayerVerdict,
    SweepVerdict,
)
from transfer.analysis.compute import ComputeSpent
from transfer.analysis.transferability import Transfers
from transfer.markup import html_paragraph
from transfer.report.tables import Table

if TYPE_CHECKING:
    from rich.console import Group

ANSWERS: Mapping[Transfers, str] = {
    "true": "transfers",
    "false": "does not transfer",
    "undecided": "undecided",
}
_COLOURS: Mapping[Transfers, str] = {"true": "green", "false": "red", "undecided": "yellow"}
_WIDTHS = ("width", "optimal log2 lr", "best loss", "transferred", "regret")
_NO_SPECTRUM = "no singular values at two widths"
SUBLAYERS = ("sublayer", "slope of sigma_1", "predicted", "verdict", "p", "2p - 1")
"""The columns of `sublayer_rows`."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a verdict says of one recipe.

    `word` is the answer in a word and `reason` in a sentence, `facts` are names with numbers.
    `widths` has a row per width: the optimum with its interval, the lowest loss of the sweep, the
    loss at the hyperparameters transferred from the next narrower width, and by what share it is
    above the lowest. `sublayers` has a row per sublayer: its name, whether its top singular value
    is invariant, and why.
    """

    recipe: str
    transfers: Transfers
    word: str
    reason: str
    facts: Sequence[tuple[str, str]]
    widths: Table
    sublayers: Table


def answers(verdict: SweepVerdict) -> list[Answer]:
    """Return the answer of every recipe, in the verdict's order.

    Example:
      >>> answers(verdict)[0].facts[0]  # doctest: +SKIP
      ('Slope of the optimum over width', '-0.05 [-0.11, -0.02]')
    """
    return [_answer(judged) for judged in verdict.recipes.values()]


def verdict_table(verdict: SweepVerdict) -> "Group":
    """Return the verdict for a terminal: per recipe the answer, a row per width, and the reason.

    Readable from 60 columns on.

    Example:
      >>> rich.print(verdict_table(verdict))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[Any] = []
    for answer in answers(verdict):
        word = (answer.word, _COLOURS[answer.transfers])
        heading = Text.assemble((answer.recipe, "bold"), ": ", word)
        parts += [heading, answer.widths.rich(), Padding(Text(answer.reason), (0, 0, 1, 2))]
    return Group(*parts)


def verdict_html(verdict: SweepVerdict) -> str:
    """Return the verdict as HTML: per recipe the answer, a row per width, and the reason."""
    return "\n".join(
        answer.widths.html(f"{answer.recipe}: {answer.word}") + html_paragraph(answer.reason)
        for answer in answers(verdict)
    )


def verdict_text(verdict: SweepVerdict) -> str:
    """Return the verdict as plain text: per recipe the answer, a row per width, and the reason."""
    return "\n\n".join(
        f"{answer.recipe}: {answer.word}\n{answer.widths.text()}\n{answer.reason}"
        for answer in answers(verdict)
    )


def spectrum_table(verdict: SweepVerdict) -> "Group":
    """Return sigma_1 of each sublayer by width, its slope and what it says, for a terminal.

    A recipe without spectra at two widths says so. Slopes are of log2 sigma_1 over log2 width, with
    the interval over seeds. A second table has the verdict on each sublayer, its p and the decay
    exponent that it implies; a recipe whose runs have not settled has none.

    Example:
      >>> rich.print(spectrum_table(verdict))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for recipe, judged in verdict.recipes.items():
        sublayers = judged.sublayers
        told = _NO_SPECTRUM
        if sublayers:
            first = next(iter(sublayers.values()))
            told = (
                f"slope of sigma_1 predicted {first.spectrum.predicted:+z.2f} at log2 lr "
                f"{first.spectrum.log2_learning_rate:.4g}, {invariance(sublayers)}"
            )
        parts.append(Text.assemble((recipe, "bold"), ": ", told))
        if sublayers:
            parts += [_values(sublayers).rich(), Text()]
            # Runs that have not settled have not settled for all sublayers.
            settled = first.spectrum.is_settled
            parts += [_exponents(sublayers).rich() if settled else Text(first.invariance.reason)]
            parts.append(Text())
    return Group(*parts)


def invariance_html(verdict: SweepVerdict) -> str:
    """Return as HTML per recipe a row per sublayer: its slope over width, what it says, its p."""
    return "\n".join(
        Table(SUBLAYERS, sublayer_rows(judged.sublayers)).html(
            f"{recipe}: {invariance(judged.sublayers)}"
        )
        if judged.sublayers
        else html_paragraph(_NO_SPECTRUM, strong=f"{recipe}:")
        for recipe, judged in verdict.recipes.items()
    )


def sublayer_rows(sublayers: Mapping[str, SublayerVerdict]) -> list[tuple[str, ...]]:
    """Return per sublayer the cells that `SUBLAYERS` names.

    Example:
      >>> sublayer_rows(verdict.recipes["mup+sqrt"].sublayers)[0][:3]  # doctest: +SKIP
      ('attention.query', '+0.01 [-0.02, +0.03]', '+0.00')
    """
    return [
        (
            name,
            each.spectrum.slope.text("+z.2f"),
            f"{each.spectrum.predicted:+z.2f}",
            each.invariance.answer,
            _or_dash(each.invariance.measured.p),
            _or_dash(each.invariance.measured.exponent),
        )
        for name, each in sublayers.items()
    ]


def title(judged: RecipeVerdict) -> str:
    """Return a recipe's name with its answer: `mup+sqrt: transfers`."""
    return f"{judged.recipe}: {ANSWERS[judged.answer.transfers]}"


def claim(verdict: SweepVerdict, subject: str) -> str:
    """Return the sentence that a figure's title states.

    Example:
      >>> claim(verdict, "The best learning rate")  # doctest: +SKIP
      'The best learning rate transfers across width under mup+sqrt, not under standard'
    """
    under = {
        answer: listed(
            [name for name, each in verdict.recipes.items() if each.answer.transfers == answer]
        )
        for answer in ANSWERS
    }
    undecided = f"undecided under {under['undecided']}" if under["undecided"] else ""
    if under["true"] and under["false"]:
        told = f"transfers across width under {under['true']}, not under {under['false']}"
    elif under["true"]:
        told = f"transfers across width under {under['true']}"
    elif under["false"]:
        told = f"does not transfer across width under {under['false']}"
    else:
        return f"{subject} across width: {undecided}"
    return f"{subject} {told}" + (f"; {undecided}" if undecided else "")


def spectrum_claim(measured: Mapping[str, Mapping[str, SublayerVerdict]]) -> str:
    """Return the sentence about the top singular values of one or more recipes.

    Example:
      >>> spectrum_claim(measured)  # doctest: +SKIP
      'Top singular values move least with width under mup: slope +0.02 on average'
    """
    drift = {recipe: sum(_slopes(each)) / len(each) for recipe, each in measured.items()}
    level = min(drift, key=lambda recipe: abs(drift[recipe]))
    told = f"slope {drift[level]:+z.2f} on average"
    if len(drift) == 1:
        return f"Top singular values over width under {level}: {told}"
    return f"Top singular values move least with width under {level}: {told}"


def spectrum_title(recipe: str, sublayers: Mapping[str, SublayerVerdict]) -> str:
    """Return a recipe's name with its slopes, in two lines.

    Example:
      >>> print(spectrum_title("mup+sqrt", sublayers))  # doctest: +SKIP
      mup+sqrt (not settled yet)
      slopes +0.02 to +0.02, predicted +0.00
    """
    slopes = _slopes(sublayers)
    predicted = next(iter(sublayers.values())).spectrum.predicted
    # The prediction is for runs that have lasted long enough to forget their init.
    settled = all(each.spectrum.is_settled for each in sublayers.values())
    warning = "" if settled else " (not settled yet)"
    return (
        f"{recipe}{warning}\nslopes {min(slopes):+z.2f} to {max(slopes):+z.2f}, predicted "
        f"{predicted:+z.2f}"
    )


def invariance(sublayers: Mapping[str, SublayerVerdict]) -> str:
    """Return in how many sublayers sigma_1 is invariant, and which are not, in a phrase.

    Example:
      >>> invariance(sublayers)  # doctest: +SKIP
      'invariant in 2 of 3 sublayers; differs in down'
    """
    by_word: dict[str, list[str]] = {}
    for name, each in sublayers.items():
        by_word.setdefault(each.invariance.answer, []).append(name)
    if len(by_word) == 1:
        return f"{next(iter(by_word))} in all sublayers"
    level = len(by_word.pop("invariant", []))
    others = (f"{word} in {listed(names)}" for word, names in sorted(by_word.items()))
    return "; ".join([f"invariant in {level} of {len(sublayers)} sublayers", *others])


def spent(compute: ComputeSpent) -> str:
    """Return what tuning on proxies cost, in a sentence.

    Example:
      >>> spent(ComputeSpent(2e12, 8e12, 0.25))
      'Tuning on the proxies took 2.0e+12 floating-point operations, 25 % of tuning at the target.'
      >>> spent(ComputeSpent(None, None, None, "no recipe has two widths"))
      'What tuning on proxies saves is unknown: no recipe has two widths.'
    """
    if compute.ratio is None:
        return f"What tuning on proxies saves is unknown: {compute.reason}."
    flops = f"{compute.proxy_flops:.1e} floating-point operations"
    return (
        f"Tuning on the proxies took {flops}, {100 * compute.ratio:.0f} % of tuning at the target."
    )


def listed(names: Sequence[str]) -> str:
    """Return names as a phrase.

    Example:
      >>> listed(["a", "b", "c"])
      'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _answer(judged: RecipeVerdict) -> Answer:
    slope, sublayers = judged.slope, judged.sublayers
    return Answer(
        recipe=judged.recipe,
        transfers=judged.answer.transfers,
        word=ANSWERS[judged.answer.transfers],
        reason=judged.answer.reason,
        facts=(
            (
                "Slope of the optimum over width",
                f"unknown: {slope.reason}" if slope.value is None else slope.text("+z.2f"),
            ),
            *((f"Regret at width {each.width}", _regret(each)) for each in judged.regrets),
            (
                "Top singular value over width",
                invariance(sublayers) if sublayers else "not recorded at two widths",
            ),
        ),
        widths=_widths(judged),
        sublayers=Table(
            ("sublayer", "top singular value", "why"),
            [
                (name, each.invariance.answer, each.invariance.reason)
                for name, each in sublayers.items()
            ],
            words=3,
        ),
    )


def _widths(judged: RecipeVerdict) -> Table:
    optima = {optimum.width: optimum for optimum in judged.optima}
    regrets = {regret.width: regret for regret in judged.regrets}
    rows = []
    for width in sorted({*optima, *regrets}):
        optimum, regret = optima.get(width), regrets.get(width)
        rows.append(
            (
                str(width),
                _optimum(optimum),
                _number(None if optimum is None else optimum.best_loss, ".3f"),
                _number(None if regret is None else regret.loss, ".3f"),
                _number(None if regret is None else regret.relative_regret, "+.2%"),
            )
        )
    return Table(_WIDTHS, rows, words=0)


def _optimum(optimum: Optimum | None) -> str:
    if optimum is None:
        return "not tuned"
    rate = optimum.log2_learning_rate
    return "undecided" if rate.value is None else rate.text("z.2f")


def _regret(regret: Regret) -> str:
    if regret.relative.value is None:
        return "diverged" if regret.diverged else f"unknown: {regret.reason}"
    return regret.relative.text("+.2%")


def _values(sublayers: Mapping[str, SublayerVerdict]) -> Table:
    widths = list(next(iter(sublayers.values())).spectrum.values)
    rows = []
    for name, each in sublayers.items():
        values = (f"{each.spectrum.values[width]:.2f}" for width in widths)
        rows.append((name, *values, each.spectrum.slope.text("+z.2f")))
    return Table(("sublayer", *map(str, widths), "slope"), rows)


def _exponents(sublayers: Mapping[str, SublayerVerdict]) -> Table:
    rows = []
    for name, each in sublayers.items():
        p, exponent = each.invariance.measured.p, each.invariance.measured.exponent
        # Its interval is that of p, twice as wide: there is no room for both.
        rows.append((name, each.invariance.answer, _or_dash(p), _number(exponent.value, "z.2f")))
    return Table(("sublayer", "verdict", "p", "2p - 1"), rows, words=2)


def _slopes(sublayers: Mapping[str, SublayerVerdict]) -> list[float]:
    # There are two widths, so that every slope is known.
    return [each.spectrum.slope.value or 0.0 for each in sublayers.values()]


def _or_dash(estimate: Estimate) -> str:
    return "-" if estimate.value is None else estimate.text("z.2f")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"

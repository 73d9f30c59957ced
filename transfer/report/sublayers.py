"""What a verdict says of singular values: rows per sublayer, a phrase, and a figure's claim."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfer.analysis import Estimate, SublayerVerdict, SweepVerdict
from transfer.markup import html_paragraph
from transfer.notation import learning_rate, listed
from transfer.report.tables import Table

if TYPE_CHECKING:
    from rich.console import Group

_NO_SPECTRUM = "no singular values at two widths"
SUBLAYERS = ("sublayer", "slope of sigma_1", "predicted", "verdict", "p", "2p - 1")
"""The columns of `sublayer_rows`."""


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
                f"slope of sigma_1 predicted {first.spectrum.predicted:+z.2f} at learning rate "
                f"{learning_rate(2**first.spectrum.log2_learning_rate)}, {invariance(sublayers)}"
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

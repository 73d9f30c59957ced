"""Verdicts and numbers in words, the same in figures and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

ANSWERS = {"true": "transfers", "false": "does not transfer", "undecided": "undecided"}


def title(recipe: str, judged: Mapping[str, Any]) -> str:
    """Return a recipe's name with its verdict.

    Example:
      >>> title("mup+sqrt", {"transfers": "true"})
      'mup+sqrt: transfers'
    """
    return f"{recipe}: {ANSWERS[judged['transfers']]}"


def claim(recipes: Mapping[str, Mapping[str, Any]], subject: str) -> str:
    """Return the sentence that a figure's title states.

    Example:
      >>> judged = {"mup+sqrt": {"transfers": "true"}, "standard": {"transfers": "false"}}
      >>> claim(judged, "The best learning rate")
      'The best learning rate transfers across width under mup+sqrt, not under standard'
      >>> claim({"ntk": {"transfers": "undecided"}}, "The best learning rate")
      'The best learning rate across width: undecided under ntk'
    """
    under = {
        answer: listed([name for name, judged in recipes.items() if judged["transfers"] == answer])
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


def objective(verdict: Mapping[str, Any]) -> str:
    """Return what the losses of a verdict are, with their unit.

    Example:
      >>> objective({"objective": {"name": "held-out loss", "unit": "nats"}})
      'held-out loss (nats)'
    """
    return "{name} ({unit})".format(**verdict["objective"])


def training_loss(verdict: Mapping[str, Any]) -> str:
    """Return what training curves show, in the unit of the verdict's losses.

    Example:
      >>> training_loss({"objective": {"name": "held-out loss", "unit": "nats"}})
      'training loss (nats)'
    """
    return f"training loss ({verdict['objective']['unit']})"


def spectrum_claim(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the sentence about the top singular values of one or more recipes.

    Example:
      >>> measured = {"mup": {"up": {"value": 0.02}}, "standard": {"up": {"value": 0.7}}}
      >>> spectrum_claim(measured)
      'Top singular values move least with width under mup: slope +0.02 on average'
    """
    drift = {
        recipe: sum(slope["value"] for slope in slopes.values()) / len(slopes)
        for recipe, slopes in measured.items()
    }
    level = min(drift, key=lambda recipe: abs(drift[recipe]))
    told = f"slope {drift[level]:+z.2f} on average"
    if len(drift) == 1:
        return f"Top singular values over width under {level}: {told}"
    return f"Top singular values move least with width under {level}: {told}"


def spectrum_title(recipe: str, slopes: Mapping[str, Any]) -> str:
    """Return a recipe's name with its slopes, in two lines.

    Example:
      >>> up = {"value": 0.02, "predicted": 0.0, "settled": False}
      >>> print(spectrum_title("mup+sqrt", {"up": up}))
      mup+sqrt (not settled yet)
      slopes +0.02 to +0.02, predicted +0.00
    """
    values = [slope["value"] for slope in slopes.values()]
    low, high = min(values), max(values)
    predicted = next(iter(slopes.values()))["predicted"]
    settled = all(slope["settled"] for slope in slopes.values())
    # The prediction is for runs that have lasted long enough to forget their init.
    warning = "" if settled else " (not settled yet)"
    return f"{recipe}{warning}\nslopes {low:+z.2f} to {high:+z.2f}, predicted {predicted:+z.2f}"


def invariance(slopes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in how many sublayers sigma_1 is invariant, and which are not, in a phrase.

    Example:
      >>> words = {"up": "invariant", "query": "invariant", "down": "differs"}
      >>> invariance({name: {"invariance": word} for name, word in words.items()})
      'invariant in 2 of 3 sublayers; differs in down'
      >>> invariance({name: {"invariance": "not settled"} for name in words})
      'not settled in all sublayers'
    """
    by_word: dict[str, list[str]] = {}
    for name, slope in slopes.items():
        by_word.setdefault(slope["invariance"], []).append(name)
    if len(by_word) == 1:
        return f"{next(iter(by_word))} in all sublayers"
    level = len(by_word.pop("invariant", []))
    others = (f"{word} in {listed(names)}" for word, names in sorted(by_word.items()))
    return "; ".join([f"invariant in {level} of {len(slopes)} sublayers", *others])


def listed(names: Sequence[str]) -> str:
    """Return names as a phrase.

    Example:
      >>> listed(["a", "b", "c"])
      'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def with_interval(value: float, interval: list[float] | None, form: str = "z.2f") -> str:
    """Return a number with its interval, where there is one.

    Example:
      >>> with_interval(-0.14, [-0.2, -0.1]), with_interval(0.5, None)
      ('-0.14 [-0.20, -0.10]', '0.50')
    """
    if interval is None:
        return f"{value:{form}}"
    return f"{value:{form}} [{interval[0]:{form}}, {interval[1]:{form}}]"

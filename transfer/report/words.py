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

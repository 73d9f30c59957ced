"""How a hyperparameter is written: the same wherever a person reads it.

A learning rate is a number with its power of two in parentheses, because people paste the number
and grids are powers of two. Intervals are in plain numbers alone.
"""

import math
from collections.abc import Mapping, Sequence

ANSWERS: Mapping[str, str] = {
    "true": "transfers",
    "false": "does not transfer",
    "undecided": "undecided",
}
"""What is said in a word of a hyperparameter, by what a verdict answers."""


def learning_rate(value: float, digits: int = 2) -> str:
    """Return a learning rate as a number of `digits` digits, with its power of two.

    One decimal of the exponent is 7 % of the number, as much as two digits of it.

    Example:
      >>> learning_rate(0.0502), learning_rate(2**-6), learning_rate(2**-6, digits=4)
      ('0.050 (2^-4.3)', '0.016 (2^-6)', '0.01562 (2^-6)')
    """
    if not 0 < value < math.inf:
        return f"{value:g}"
    return f"{number(value, digits)} ({power_of_two(math.log2(value))})"


def power_of_two(exponent: float) -> str:
    """Return a power of two with at most one decimal in its exponent.

    Example:
      >>> power_of_two(-4.37), power_of_two(-6.0), power_of_two(-0.01)
      ('2^-4.4', '2^-6', '2^0')
    """
    return "2^" + f"{exponent:z.1f}".removesuffix(".0")


def interval(low: float, high: float) -> str:
    """Return an interval of values with two digits.

    Example:
      >>> interval(0.0411, 0.0557), interval(0.05, 12)
      ('[0.041, 0.056]', '[0.050, 12]')
    """
    return f"[{number(low, 2)}, {number(high, 2)}]"


def hyperparameter(name: str) -> str:
    """Return the name of a hyperparameter, or of a verdict's axis, in words.

    Example:
      >>> hyperparameter("weight_decay"), hyperparameter("readout_output")
      ('decay', 'readout output')
    """
    return {"weight_decay": "decay"}.get(name, name.replace("_", " "))


def listed(names: Sequence[str]) -> str:
    """Return names as a phrase.

    Example:
      >>> listed(["a", "b", "c"])
      'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def number(value: float, digits: int = 2) -> str:
    """Return a number with so many digits, zeros at its end among them.

    Example:
      >>> number(0.0602), number(12.4)
      ('0.060', '12')
    """
    # "#" keeps zeros at the end, and leaves a point behind whole numbers.
    return f"{value:#.{digits}g}".removesuffix(".")

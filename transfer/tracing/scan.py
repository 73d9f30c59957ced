"""What of a scan's inputs is the same in every step, and what is carried from one to the next."""

from typing import Any


def inputs(equation: Any) -> tuple[int, int]:
    """Return how many come first that are constant, and how many after them that are carried.

    The rest is sliced. JAX wrote both numbers down up to 0.10, and the structure of all inputs
    since.
    """
    parameters = equation.params
    if "num_consts" in parameters:
        return parameters["num_consts"], parameters["num_carry"]
    constants, carried, _ = parameters["ft_in"].unpack()
    return len(list(constants)), len(list(carried))

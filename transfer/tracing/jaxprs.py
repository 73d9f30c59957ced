"""How jaxprs nest: where an equation is, which jaxpr it calls, and what a scan carries."""

from typing import Any

from jax.extend import core

# The index of an equation in each of the nested jaxprs that lead to it, outermost first.
Location = tuple[int, ...]


def called_jaxpr(equation: Any) -> Any:
    """Return the jaxpr that an equation runs on exactly its inputs, or None.

    These are the bodies of jit, remat and custom derivatives; loops and branches have rules of
    their own.
    """
    if equation.primitive.name in ("pallas_call", "scan", "while", "cond"):
        return None
    for parameter in equation.params.values():
        jaxpr = getattr(parameter, "jaxpr", parameter)
        if isinstance(jaxpr, core.Jaxpr) and len(jaxpr.invars) == len(equation.invars):
            return parameter
    return None


def scan_inputs(equation: Any) -> tuple[int, int]:
    """Return how many inputs of a scan are constant and how many, after them, are carried.

    The remaining inputs are sliced, one slice for each step. Up to version 0.10 JAX stored both
    numbers as parameters of the equation; later versions store the tree structure of all inputs.
    """
    parameters = equation.params
    if "num_consts" in parameters:
        return parameters["num_consts"], parameters["num_carry"]
    constants, carried, _ = parameters["ft_in"].unpack()
    return len(list(constants)), len(list(carried))

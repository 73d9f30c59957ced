"""What becomes of a public name that was renamed: asking for it says the new one."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn


def renamed(owner: str, names: Mapping[str, str]) -> Callable[..., NoReturn]:
    """Return a `__getattr__` for a module or a class that says where old names have gone.

    In a class it belongs under `if not TYPE_CHECKING`, otherwise type checkers take every
    attribute for one that exists.

    Arguments:
      owner: the module or class, as a user writes it.
      names: the new name, as a user writes it, by old attribute.

    Example:
      >>> class Recipe:
      ...     __getattr__ = renamed("Recipe", {"columns": "Recipe.exponents"})
      >>> Recipe().columns
      Traceback (most recent call last):
      ...
      AttributeError: Recipe.columns is now Recipe.exponents.
    """

    def missing(*arguments: Any) -> NoReturn:  # a module passes the name, a class self too
        name = arguments[-1]
        if name in names:
            raise AttributeError(f"{owner}.{name} is now {names[name]}.")
        raise AttributeError(f"{owner} has no attribute {name!r}.")

    return missing

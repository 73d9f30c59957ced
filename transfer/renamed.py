"""What becomes of a public name that was renamed: it works and warns, or says the new one."""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def renamed(
    owner: str,
    names: Mapping[str, str],
    *,
    deprecated: Mapping[str, str] | None = None,
    stacklevel: int = 2,
) -> Callable[..., Any]:
    """Return a `__getattr__` for a module or a class that says where old names have gone.

    In a class it belongs under `if not TYPE_CHECKING`, otherwise type checkers take every
    attribute for one that exists.

    Arguments:
      owner: the module or class, as a user writes it.
      names: the new name, as a user writes it, by old attribute; for what does not mean quite the
        same any more, so that asking for it is an error.
      deprecated: the new attribute of the same owner, by old attribute; for what has another name
        and nothing else, so that asking for it works and warns.
      stacklevel: 2, or 3 where a `__getattr__` calls the returned function, so that the warning
        names the line that asked.

    Example:
      >>> class Recipe:
      ...     __getattr__ = renamed("Recipe", {"columns": "Recipe.exponents"})
      >>> Recipe().columns
      Traceback (most recent call last):
      ...
      AttributeError: Recipe.columns is now Recipe.exponents.
    """
    aliases = deprecated or {}

    def missing(*arguments: Any) -> Any:  # a module passes the name, a class self too
        *itself, name = arguments
        if name in aliases:
            new = aliases[name]
            warnings.warn(
                f"{owner}.{name} is now {owner}.{new}; the old name will go.",
                DeprecationWarning,
                stacklevel=stacklevel,
            )
            return getattr(itself[0] if itself else sys.modules[owner], new)
        if name in names:
            raise AttributeError(f"{owner}.{name} is now {names[name]}.")
        raise AttributeError(f"{owner} has no attribute {name!r}.")

    return missing

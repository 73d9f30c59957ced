"""The one exception a user is meant to read."""

import contextlib
import difflib
import functools
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
# What other libraries say may fill a page.
_MOST_QUOTED = 200


class TransferError(Exception):
    """Says in one sentence what was wrong, what was expected and what to do.

    The command line prints it and exits with status 1; library callers may catch it.
    """


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the candidate closest to `word`, or an empty string.

    Example:
      >>> nearest("learning_rat", ["learning_rate", "seed"])
      ' (did you mean "learning_rate"?)'
    """
    matches = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f' (did you mean "{matches[0]}"?)' if matches else ""


def require_known(what: str, name: str, names: Iterable[str], *, optional: bool = False) -> None:
    """Raise `TransferError` for a name that is none of these; an optional one may be empty.

    Example:
      >>> require_known("recipe", "mup", ["mup", "ntk"])
    """
    options = list(names)
    if name not in options and not (optional and not name):
        raise TransferError(
            f'The {what} "{name}" is unknown; expected one of {", ".join(options)}'
            f"{nearest(name, options)}."
        )


@contextlib.contextmanager
def explained(what: str, expected: str) -> Iterator[None]:
    """Turn whatever is raised in the block into a `TransferError` with its cause behind it.

    It is for blocks in which code of a caller, or JAX on its behalf, may raise anything.

    Arguments:
      what: the argument of the caller that the block runs.
      expected: what that argument should be.

    Example:
      >>> with explained("build(64)", "a function from the width to a model"):
      ...     [][64]
      Traceback (most recent call last):
      ...
      transfer.errors.TransferError: build(64) raises IndexError (list index out of range); \
expected a function from the width to a model.
    """
    try:
        yield
    except TransferError:
        raise
    except Exception as error:
        if sentence := missing_platform(error):
            raise TransferError(sentence) from error
        lines = str(error).strip().splitlines() or [""]
        said = " ".join(lines[0].split()).rstrip(".:;")[:_MOST_QUOTED]
        reason = f" ({said})" if said else ""
        raise TransferError(
            f"{what} raises {type(error).__name__}{reason}; expected {expected}."
        ) from error


def explained_calls(
    function: Callable[_Arguments, _Result], name: str, expected: str
) -> Callable[_Arguments, _Result]:
    """Return a caller's function that raises nothing but `TransferError`; see `explained`.

    `name` is the argument that it was given as. Whole numbers that it is called with are told.
    """

    @functools.wraps(function)
    def call(*arguments: _Arguments.args, **settings: _Arguments.kwargs) -> _Result:
        numbers = [str(each) for each in arguments if isinstance(each, int)]
        with explained(f"{name}({', '.join(numbers) or '...'})", expected):
            return function(*arguments, **settings)

    return call


def missing_platform(error: Exception) -> str:
    """Return a sentence if an error says that JAX lacks the platform it was told, else nothing.

    Example:
      >>> missing_platform(RuntimeError("out of memory"))
      ''
    """
    asked = os.environ.get("JAX_PLATFORMS", "")
    frames = traceback.extract_tb(error.__traceback__)
    # JAX has no type of error for it, and without a plugin of that name not even a message.
    if not asked or not frames or Path(frames[-1].filename).name != "xla_bridge.py":
        return ""
    reason = str(error).partition("\n")[0].partition(" (set JAX_PLATFORMS")[0].rstrip(".")
    return (
        f'JAX_PLATFORMS is "{asked}", which JAX cannot use here '
        f"({reason or 'it has nothing installed for it'}); expected a platform of this machine, "
        "such as JAX_PLATFORMS=cpu, or the JAX that is built for that one."
    )

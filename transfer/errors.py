"""The one exception a user is meant to read."""

import difflib
from collections.abc import Iterable


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

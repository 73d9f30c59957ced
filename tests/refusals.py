"""What a refusal must be, and the wording of each in one file.

Tests assert which values, flags and names a message holds. How it says so stands in
`messages.json`, by test, so that prose can be improved without an edit of tests: after
`make messages` the difference of that file shows what changed.
"""

import contextlib
import json
import os
import pathlib
import re
from collections.abc import Iterator

import pytest

from transfer.errors import TransferError

FILE = pathlib.Path(__file__).parent / "messages.json"
Messages = dict[str, list[str]]

# What this process has heard, by test, and where its temporary folders lie.
heard: Messages = {}
temporary: list[str] = []
updating = False


@contextlib.contextmanager
def refused(
    *values: object, recorded: bool = True, error: type[Exception] = TransferError
) -> Iterator[pytest.ExceptionInfo]:
    """Require that what is inside is refused in a sentence that holds each of the values.

    Arguments:
      values: What the message must name: flags, paths, numbers, names. Each is looked for as it
        is printed.
      recorded: Whether the wording is held against the golden file, which a test that is
        refused in many random ways cannot be.
      error: The type of the error.
    """
    with pytest.raises(error) as caught:
        yield caught
    require_sentence(str(caught.value), *values, recorded=recorded)


def require_sentence(sentence: str, *values: object, recorded: bool = True) -> None:
    """Require one well-formed sentence that holds each of the values."""
    assert "\n" not in sentence, sentence
    assert "Traceback" not in sentence, sentence
    assert re.search(r"[^?.\s][.?)]$", sentence), f"no full stop: {sentence}"
    for value in map(str, values):
        # As a word of its own: a 1 is not found in 12, nor a width in widths.
        assert re.search(rf"(?<!\w){re.escape(value)}(?!\w)", sentence), (value, sentence)
    if recorded:
        record(sentence)


def record(sentence: str) -> None:
    """Hold a sentence against the one that the golden file has at this place of this test."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    said = heard.setdefault(test, [])
    said.append(plain(sentence))
    if updating:
        return
    golden = read().get(test, [])
    place = len(said) - 1
    assert golden[place : place + 1] == said[place:], (
        f"the wording is not that of {FILE.name}; `make messages` rewrites it"
    )


def plain(sentence: str) -> str:
    """The sentence on any machine: temporary folders, and the repository's, have no names."""
    for folder in temporary:
        sentence = re.sub(rf"{re.escape(folder)}(/popen-\w+)?/[^/\s,;:'\"]+", "TEMPORARY", sentence)
    return sentence.replace(str(FILE.parents[1]), "REPOSITORY")


def read() -> Messages:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def write(found: Messages, collected: set[str]) -> None:
    """Put what was heard in the place of what the same tests said, and drop tests that are gone.

    A test is gone if it was not collected though others of its file were.
    """
    files = {name.partition("::")[0] for name in collected}
    kept = {
        test: said
        for test, said in read().items()
        if test in collected or test.partition("::")[0] not in files
    }
    merged = dict(sorted((kept | found).items()))
    FILE.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n")

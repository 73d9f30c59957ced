"""What a refusal must be, and the wording of each in one file.

Tests assert which values, flags and names a message holds. How it says so stands in
`messages.json`, by test, so that prose can be improved without an edit of tests: after
`make messages` the difference of that file shows what changed.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import sysconfig
from collections.abc import Iterator

import pytest

from transfer.errors import TransferError

FILE = pathlib.Path(__file__).parent / "messages.json"
Messages = dict[str, list[str]]

# What the tests of this process have heard, and whether it is what the file is to hold.
heard: Messages = {}
updating = False
# The folders in which the tests of this run write.
temporary: list[str] = []


@contextlib.contextmanager
def refused(
    *values: object, recorded: bool = True, error: type[Exception] = TransferError
) -> Iterator[pytest.ExceptionInfo]:
    """Require that what is inside is refused in a sentence that holds each of the values.

    Arguments:
      values: What the sentence must name: flags, paths, numbers, names. Each is looked for as it
        is printed.
      recorded: Whether the wording is held against the golden file, which a test that is refused
        in many random ways cannot be.
      error: The type of the error.
    """
    with pytest.raises(error) as caught:
        yield caught
    require_sentence(str(caught.value), *values, way_out=error is TransferError)
    if recorded:
        record(str(caught.value), caught.value.__cause__)


def require_sentence(sentence: str, *values: object, way_out: bool = True) -> None:
    """Require one well-formed sentence, with a way out, that holds each of the values."""
    if "\n" in sentence:
        raise AssertionError(f"more than one line: {sentence}")
    if not re.search(r"[^?.!\s][.?]$", sentence):
        raise AssertionError(f"no full stop: {sentence}")
    if way_out and not re.search(r"expect|did you mean|; |: ", sentence):
        raise AssertionError(f"no way out: {sentence}")
    for value in map(str, values):
        # As a word of its own: a 1 is not found in 12, nor a width in widths.
        if not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", sentence):
            raise AssertionError(f"no {value} in: {sentence}")


def require_complaint(error: str, *values: object, recorded: bool = True) -> None:
    """Require one such sentence on a command's standard error, after the command's name."""
    complaint = re.fullmatch(r"transfer( \w+)?: ([^\n]*)\n?", error)
    if complaint is None:
        raise AssertionError(f"no sentence of a command: {error}")
    require_sentence(complaint[2], *values)
    if recorded:
        record(error.removesuffix("\n"))


def record(sentence: str, cause: BaseException | None = None) -> None:
    """Hold a sentence against the one that the golden file has at this place of this test."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    said = heard.setdefault(test, [])
    said.append(plain(sentence, cause))
    golden = read().get(test, [])[len(said) - 1 : len(said)]
    if golden != said[-1:] and not updating:
        raise AssertionError(
            f"the wording is not that of {FILE.name}, which `make messages` rewrites:\n"
            f"  now {said[-1]}\n  was {golden[0] if golden else 'nothing'}"
        )


def plain(sentence: str, cause: BaseException | None = None) -> str:
    """The sentence without what differs between machines: paths, and what other libraries say."""
    if cause is not None and not isinstance(cause, TransferError):
        said = (getattr(cause, "strerror", None), str(cause), str(cause).partition("\n")[0])
        for reason in filter(None, said):
            sentence = sentence.replace(reason, "REASON")
    for folder in temporary:
        test = rf"{re.escape(folder)}(/popen-\w+)?/[^/\s,;:'\"`)]+"
        sentence = re.sub(test, "TEMPORARY", sentence)
    sentence = sentence.replace(str(FILE.parents[1]), "REPOSITORY")
    return sentence.replace(sysconfig.get_path("stdlib"), "STDLIB")


@functools.cache
def read() -> Messages:
    """The golden file, as it was when the tests began."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def write(collected: set[str]) -> None:
    """Put what was heard in the place of what the same tests said, and drop tests that are gone.

    A test is gone if it was not collected though others of its file were.
    """
    files = {name.partition("::")[0] for name in collected}
    kept = {
        test: said
        for test, said in read().items()
        if test in collected or test.partition("::")[0] not in files
    }
    merged = dict(sorted((kept | heard).items()))
    FILE.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n")

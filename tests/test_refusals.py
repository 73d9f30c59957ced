"""What a refusal must be is noticed where it is not, and so is another wording."""

import os

import pytest
import refusals
from refusals import plain, record, refused, require_sentence

from transfer.errors import TransferError

SENTENCE = 'data.split is "tran"; expected one of train, test.'


def test_a_sentence_with_its_values_passes():
    require_sentence(SENTENCE, "data.split", "tran", "train")
    with refused("data.split", recorded=False):
        raise TransferError(SENTENCE)


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        (SENTENCE.removesuffix("."), "no full stop"),
        ("Is it train?.", "no full stop"),
        ("data.split is wrong.", "no way out"),
        (SENTENCE.replace("; ", ";\n"), "more than one line"),
        (SENTENCE.replace('"tran"', "unknown"), "no tran"),  # which stands in train
    ],
)
def test_a_fault_is_told(sentence, fault):
    with pytest.raises(AssertionError, match=fault):
        require_sentence(sentence, "tran")


def test_another_error_or_none_is_no_refusal():
    with pytest.raises(ValueError, match="other"), refused():
        raise ValueError("other")
    with pytest.raises(pytest.fail.Exception), refused():
        pass


def test_another_wording_than_the_files_is_told(monkeypatch):
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    monkeypatch.setattr(refusals, "read", lambda: {test: ["As it was."]})
    monkeypatch.setattr(refusals, "heard", {})
    monkeypatch.setattr(refusals, "updating", False)
    record("As it was.")
    with pytest.raises(AssertionError, match="make messages"):
        record("Nothing was recorded in second place.")
    monkeypatch.setattr(refusals, "heard", {})
    with pytest.raises(AssertionError, match=r"now As it is\.\n  was As it was\."):
        record("As it is.")


def test_what_differs_between_machines_is_left_out(tmp_path):
    cause = OSError(2, "No such file", str(tmp_path))
    said = f"{tmp_path}/a/b and {refusals.FILE} cannot be read (No such file); expected both."
    wanted = (
        "TEMPORARY/a/b and REPOSITORY/tests/messages.json cannot be read (REASON); expected both."
    )
    assert plain(said, cause) == wanted
    assert plain("It cannot be read (as planned).", TransferError("as planned")).endswith(
        "(as planned)."
    )


def test_tests_that_are_gone_leave_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "FILE", tmp_path / "messages.json")
    before = {"a.py::gone": ["1"], "a.py::stays": ["2"], "a.py::says": ["3"], "b.py::other": ["4"]}
    monkeypatch.setattr(refusals, "read", lambda: before)
    monkeypatch.setattr(refusals, "heard", {"a.py::says": ["5"], "a.py::new": ["6"]})
    refusals.write({"a.py::stays", "a.py::says", "a.py::new"})
    monkeypatch.undo()
    found = (tmp_path / "messages.json").read_text()
    assert '"5"' in found
    assert '"6"' in found
    assert [name for name in before if f'"{name}"' in found] == [
        "a.py::stays",
        "a.py::says",
        "b.py::other",
    ]

import errno
import io
import os
import threading

import pytest
from refusals import refused

from transfer.atomic import atomic_write


def write(path, content):
    with atomic_write(path) as file:
        file.write(content)


def fail(path, error):
    with atomic_write(path) as file:
        file.write(b"half of")
        raise error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_nothing_beside_it(tmp_path):
    write(tmp_path / "new" / "folder" / "file", b"content")

    assert (tmp_path / "new" / "folder" / "file").read_bytes() == b"content"
    assert names(tmp_path / "new" / "folder") == ["file"]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    write(tmp_path / "file", b"old")
    with atomic_write(tmp_path / "file") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "file").read_bytes() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, error, old):
    if old is not None:
        write(tmp_path / "file", old)
    with pytest.raises(error):
        fail(tmp_path / "file", error)

    assert names(tmp_path) == ([] if old is None else ["file"])
    assert old is None or (tmp_path / "file").read_bytes() == old


def test_of_two_writers_at_once_the_later_stays_and_neither_is_mixed(tmp_path):
    with atomic_write(tmp_path / "file") as later:
        later.write(b"later")
        write(tmp_path / "file", b"earlier")
        assert (tmp_path / "file").read_bytes() == b"earlier"
    assert (tmp_path / "file").read_bytes() == b"later"
    assert names(tmp_path) == ["file"]


def test_many_writers_leave_one_whole_file(tmp_path):
    contents = [bytes([65 + index]) * 100_000 for index in range(8)]
    threads = [threading.Thread(target=write, args=(tmp_path / "file", each)) for each in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "file").read_bytes() in contents
    assert names(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder"):
        with refused(path):
            write(path, b"content")
    assert names(tmp_path) == ["file", "folder"]


def test_content_that_storage_did_not_take_replaces_nothing(tmp_path, monkeypatch):
    """A full disk, or a quota, may say so no earlier than here."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with refused(tmp_path / "file", os.strerror(errno.ENOSPC)):
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [AttributeError, io.UnsupportedOperation])
def test_a_file_without_a_descriptor_is_written_all_the_same(tmp_path, monkeypatch, error):
    def none(descriptor):
        raise error("fileno")

    monkeypatch.setattr(os, "fsync", none)
    write(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"

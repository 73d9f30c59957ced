"""Each format gives the documents that were written into it, or says what is wrong."""

import gzip
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from etils import epath
from refusals import refused

from transfer.data.own_files import OwnFiles
from transfer.data.text_formats import documents_of

from . import corpus


def read(path: pathlib.Path, field: str = "text", piece: int = 2**12) -> list[str]:
    files = OwnFiles(epath.Path(path)).files
    return [each for file in files for each in documents_of(file, field, piece)]


def write(path) -> None:
    opened = corpus.open_gzip if path.suffix == ".gz" else open
    if ".jsonl" in path.name:
        corpus.write_jsonl(path, opened=opened)
    elif path.suffix == ".parquet":
        corpus.write_parquet(path)
    elif path.name == "stream.arrow":
        corpus.write_stream(path)
    elif path.name == "feather.arrow":
        corpus.write_feather(path)
    else:
        corpus.write_csv(path, opened=opened)


NAMES = (
    "a.jsonl",
    "a.jsonl.gz",
    "a.csv",
    "a.csv.gz",
    "A.TSV",
    "a.parquet",
    "stream.arrow",
    "feather.arrow",
)


@pytest.mark.parametrize("name", NAMES)
def test_records_are_documents_whatever_holds_them(tmp_path, name):
    write(tmp_path / name)
    assert read(tmp_path) == read(tmp_path / name) == corpus.DOCUMENTS


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_zstandard_is_decompressed(tmp_path, name):
    path = tmp_path / name
    write(path) if name != "a.txt" else path.write_text("tiger\n" * 3000)
    expected = read(path)
    assert len(expected) > 4
    assert read(corpus.compress_zstd(path)) == expected


def test_plain_text_is_cut_at_the_ends_of_lines_and_nothing_is_lost(tmp_path):
    lines = [f"line {i} é夜🙂\r\n" for i in range(2_000)]
    (tmp_path / "book.txt").write_bytes("".join(lines).encode())
    pieces = read(tmp_path)
    assert "".join(pieces) == "".join(lines)
    assert all(piece.endswith("\r\n") for piece in pieces)
    sizes = [len(piece.encode()) for piece in pieces]
    assert all(2**12 <= size < 2**12 + 30 for size in sizes[:-1])


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 64])
def test_a_line_longer_than_a_piece_is_cut_between_characters(tmp_path, piece):
    text = "🙂夜é" * 40
    (tmp_path / "line.md").write_text(text)
    pieces = read(tmp_path, piece=piece)
    assert "".join(pieces) == text
    assert len(pieces) > 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "hello"), ("a.csv", "text\nhello\n"), ("a.jsonl", '{"text": "hello"}\n')],
)
def test_a_byte_order_mark_is_no_text(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert read(tmp_path) == ["hello"]


def test_the_only_field_with_text_is_found(tmp_path, opened):
    lines = [json.dumps({"id": i, "body": f"body {i}"}) for i in range(40)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    assert opened(path).field == "body"
    assert read(path, "body") == [f"body {i}" for i in range(40)]
    with refused(path, "bodies", "body", "data.text_feature"):
        opened(path, text_feature="bodies")


def test_of_several_fields_one_must_be_named(tmp_path, opened):
    corpus.write_parquet(tmp_path / "a.parquet", field="body")
    with refused(tmp_path / "a.parquet", "text", "url, body", "data.text_feature"):
        opened(tmp_path / "a.parquet")
    assert opened(tmp_path / "a.parquet", text_feature="body").field == "body"
    assert read(tmp_path, "body") == corpus.DOCUMENTS


def test_text_in_a_dictionary_of_values_is_text(tmp_path, opened):
    values = pa.array(["a", "b", "a"]).dictionary_encode()
    pq.write_table(pa.table({"body": values}), tmp_path / "a.parquet")
    assert opened(tmp_path).field == "body"
    assert read(tmp_path, "body") == ["a", "b", "a"]


LINE = json.dumps({"text": "tiger"})
BROKEN = {
    "half.jsonl": (f"{LINE}\n{LINE[:9]}".encode(), (2,)),
    "list.jsonl": (f"{LINE}\n[1]\n".encode(), (2, "list")),
    "missing.jsonl": (f'{LINE}\n{LINE}\n{{"body": ""}}\n'.encode(), (3, "nothing")),
    "number.jsonl": (f'{LINE}\n{{"text": 7}}\n'.encode(), (2, "int")),
    "surrogate.jsonl": (f'{LINE}\n{{"text": "\\ud83d"}}\n'.encode(), (2,)),
    "latin.jsonl": (LINE.encode() + b'\n{"text": "na\xefve"}', (2,)),
    "ragged.csv": (b"text,url\na,b\nc\n", (1, 3, 2)),
    "quote.csv": (b'text,url\na,b\n"c,d\n', ()),
    "latin.csv": (b"text,url\na,b\nna\xefve,d\n", ()),
    "latin.txt": ("a" * 5000 + "\n").encode() + b"na\xefve",
    "utf16.txt": "hello".encode("utf-16"),
    "zero.txt": "hello".encode("utf-16-le"),
    "cut.txt": "nai 夜".encode()[:-1],
    "short.txt.gz": gzip.compress(b"hello" * 99)[:-9],
    "none.txt.gz": b"hello",
    "none.zst": b"hello",
    "none.parquet": b"hello",
    "none.arrow": b"hello",
    "around.parquet.gz": b"hello",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_told_and_not_swallowed(tmp_path, name):
    content = BROKEN[name]
    content, names = content if isinstance(content, tuple) else (content, ())
    path = tmp_path / name
    path.write_bytes(content)
    with refused(path, *names):
        read(path)


def test_where_the_wrong_byte_is(tmp_path):
    (tmp_path / "latin.txt").write_bytes(BROKEN["latin.txt"])
    with refused("byte 5003"):
        read(tmp_path / "latin.txt")


@pytest.mark.parametrize("name", ["a.parquet", "stream.arrow", "a.jsonl.gz"])
def test_a_file_cut_short_is_told(tmp_path, name):
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused(path):
        read(path)


def test_a_parquet_file_whose_text_is_not_utf8(tmp_path):
    wrong = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xefb")]
    )
    pq.write_table(pa.table({"text": wrong}), tmp_path / "a.parquet")
    with refused(tmp_path / "a.parquet"):
        read(tmp_path / "a.parquet")


def test_a_file_without_the_field_of_the_first(tmp_path):
    corpus.write_parquet(tmp_path / "a.parquet")
    corpus.write_csv(tmp_path / "b.csv", field="body")
    with refused(tmp_path / "b.csv", "text", "line 3"):
        read(tmp_path)

"""Documents in files: text, JSON lines, CSV, Parquet and Arrow, a part of a file at a time."""

import codecs
import contextlib
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from transfer.data.own_files import OwnFile, unreadable
from transfer.errors import TransferError

COMPRESSED = (".gz", ".zst")

_ROWS = 256  # of a Parquet file, read at a time
_LONGEST_FIELD = 2**31 - 1  # the most that Python's reader of CSV can be told on every platform
# What the libraries raise for content that is not what its ending says.
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, csv.Error, pa.ArrowException)


class TextFormat(Protocol):
    """Files of records, one field of which holds a document."""

    def fields(self, file: OwnFile) -> list[str]:
        """Return the fields that hold text, by the first record where no header says so."""

    def values(self, file: OwnFile, field: str) -> Iterator[tuple[str, Any]]:
        """Yield where a record is, such as "line 3", and its value; raises what it comes upon."""


def format_of(file: OwnFile) -> TextFormat | None:
    """Return how the records of a file are read, by its ending; None for plain text.

    Raises `TransferError` for a file that is compressed as a whole but cannot be read that way.
    """
    endings = [each for each in file.endings if each not in COMPRESSED]
    kind = _FORMATS.get(endings[-1]) if endings else None
    if isinstance(kind, _Columnar) and _compression(file):
        raise TransferError(
            f"The file {file} is compressed around a {endings[-1]} file, which is read from its "
            "end; expected the file itself, whose columns may be compressed: decompress it."
        )
    return kind


def documents_of(file: OwnFile, field: str, piece: int) -> Iterator[str]:
    """Yield the documents of a file, without empty ones.

    Arguments:
      field: holds the text of a record; plain text has none.
      piece: plain text is cut at the first end of a line after so many bytes, or after twice as
        many where a line is longer.

    Raises:
      TransferError: the file cannot be read, is not what its ending says, is not in UTF-8, or a
        record lacks the field or holds no text in it.
    """
    kind = format_of(file)
    if kind is None:
        yield from _plain_text(file, piece)
        return
    where = "the beginning"
    try:
        for where, value in kind.values(file, field):
            if not isinstance(value, str):
                held = "nothing" if value is None else type(value).__name__
                raise TransferError(
                    f'The file {file} holds {held} as "{field}" at {where}; expected text: mend or '
                    "remove that record, or set data.text_feature to another field."
                )
            _require_whole_characters(value, file, where)
            if value:
                yield value
    except TransferError:
        raise
    except _DAMAGE as error:
        raise unreadable(
            file, error, f"whole {kind} in UTF-8, which it is up to {where}: mend or remove it"
        ) from error


def text_fields(file: OwnFile, kind: TextFormat) -> list[str]:
    """Return the fields of a file that hold text; raises `TransferError` if it cannot be read."""
    try:
        return kind.fields(file)
    except _DAMAGE as error:
        raise unreadable(file, error, f"whole {kind} in UTF-8: mend or remove it") from error


def _plain_text(file: OwnFile, piece: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    place = 0
    try:
        with _decompressed(file) as content:
            while block := content.read(piece):
                block += content.readline(piece)
                kept = len(decoder.getstate()[0])  # of a character that the last cut went through
                if place == 0:
                    block = block.removeprefix(codecs.BOM_UTF8)
                if text := _text(decoder, block, place - kept, file):
                    yield text
                place += len(block)
            kept = len(decoder.getstate()[0])
            _text(decoder, b"", place - kept, file, final=True)
    except TransferError:
        raise
    except _DAMAGE as error:
        raise unreadable(file, error, "a whole file: mend or remove it") from error


def _text(
    decoder: codecs.IncrementalDecoder, block: bytes, start: int, file: OwnFile, final: bool = False
) -> str:
    try:
        text = decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise TransferError(
            f"The file {file} is no text in UTF-8 at byte {start + error.start} ({error.reason}); "
            "expected UTF-8: convert it (iconv -f ENCODING -t UTF-8) or move it elsewhere."
        ) from error
    if "\0" in text:
        raise TransferError(
            f"The file {file} holds a zero byte after byte {start}, as UTF-16 and binary files "
            "do; expected text in UTF-8: convert it (iconv -f UTF-16 -t UTF-8) or move it "
            "elsewhere."
        )
    return text


def _require_whole_characters(text: str, file: OwnFile, where: str) -> None:
    """Raise `TransferError` for half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TransferError(
            f"The file {file} holds half a character at {where} ({error.reason}); expected text "
            "that UTF-8 can hold: mend or remove that record."
        ) from error


class _JsonLines:
    """An object on each line."""

    def __str__(self) -> str:
        return "JSON lines"

    def fields(self, file: OwnFile) -> list[str]:
        for _, record in self._records(file):
            return [name for name, value in record.items() if isinstance(value, str)]
        return []

    def values(self, file: OwnFile, field: str) -> Iterator[tuple[str, Any]]:
        for where, record in self._records(file):
            yield where, record.get(field)

    def _records(self, file: OwnFile) -> Iterator[tuple[str, dict[str, Any]]]:
        with _decompressed(file) as content:
            for number, line in enumerate(content, 1):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if not line.strip():
                    continue
                try:
                    record = json.loads(line.decode())
                except (ValueError, RecursionError) as error:
                    raise _bad_line(file, number, str(error)) from error
                if not isinstance(record, dict):
                    raise _bad_line(file, number, f"it holds {type(record).__name__}")
                yield f"line {number}", record


def _bad_line(file: OwnFile, number: int, reason: str) -> TransferError:
    said = " ".join(reason.split())[:200].rstrip(".:;")
    return TransferError(
        f"The file {file} holds no whole JSON object on line {number} ({said}); expected one in "
        "UTF-8 on every line: mend or remove that line."
    )


class _Csv:
    """A header, and a record on each line or several, separated by commas or tabs."""

    def __init__(self, delimiter: str):
        self._delimiter = delimiter

    def __str__(self) -> str:
        return "CSV with a header"

    def fields(self, file: OwnFile) -> list[str]:
        return next(self._rows(file), (1, []))[1]

    def values(self, file: OwnFile, field: str) -> Iterator[tuple[str, Any]]:
        rows = self._rows(file)
        _, header = next(rows, (1, []))
        column = header.index(field) if field in header else None
        for number, row in rows:
            if len(row) != len(header):
                raise TransferError(
                    f"The file {file} has {len(row)} fields in the record that ends on line "
                    f"{number}; expected {len(header)}, as its header has: mend or remove it."
                )
            yield f"line {number}", None if column is None else row[column]

    def _rows(self, file: OwnFile) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(_LONGEST_FIELD)
        with (
            _decompressed(file) as content,
            io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as lines,
        ):
            # Strict, so that a quote that is never closed is an error and not one long field.
            rows = csv.reader(lines, delimiter=self._delimiter, strict=True)
            for row in rows:
                if row:
                    yield rows.line_num, row


class _Columnar:
    """Tables by columns, of which only the one that is asked for is read, some rows at a time."""

    def __init__(
        self,
        name: str,
        schema: Callable[[IO[bytes]], pa.Schema],
        batches: Callable[[IO[bytes], str], Iterator[pa.Array]],
    ):
        self._name = name
        self._schema = schema
        self._batches = batches

    def __str__(self) -> str:
        return self._name

    def fields(self, file: OwnFile) -> list[str]:
        with file.path.open("rb") as content:
            return [field.name for field in self._schema(content) if _is_text(field.type)]

    def values(self, file: OwnFile, field: str) -> Iterator[tuple[str, Any]]:
        if field not in self.fields(file):
            yield "row 1", None
        number = 0
        with file.path.open("rb") as content:
            for column in self._batches(content, field):
                for value in column.to_pylist():
                    number += 1
                    yield f"row {number}", value


def _parquet_batches(content: IO[bytes], field: str) -> Iterator[pa.Array]:
    for batch in pq.ParquetFile(content).iter_batches(batch_size=_ROWS, columns=[field]):
        yield batch.column(0)


def _arrow_batches(content: IO[bytes], field: str) -> Iterator[pa.Array]:
    reader = _arrow_reader(content)
    if isinstance(reader, pa.RecordBatchFileReader):
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        batches = iter(reader)
    for batch in batches:
        yield batch.column(field)


def _arrow_reader(content: IO[bytes]) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    """A reader of the stream that Hugging Face writes, or of a file as Feather is."""
    is_file = content.read(6) == b"ARROW1"
    content.seek(0)
    return pa.ipc.open_file(content) if is_file else pa.ipc.open_stream(content)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


_FORMATS: dict[str, TextFormat] = {
    ".jsonl": _JsonLines(),
    ".ndjson": _JsonLines(),
    ".csv": _Csv(","),
    ".tsv": _Csv("\t"),
    ".parquet": _Columnar(
        "Parquet", lambda content: pq.ParquetFile(content).schema_arrow, _parquet_batches
    ),
    ".arrow": _Columnar("Arrow", lambda content: _arrow_reader(content).schema, _arrow_batches),
}


def _compression(file: OwnFile) -> str:
    return file.ending if file.ending in COMPRESSED else ""


@contextlib.contextmanager
def _decompressed(file: OwnFile) -> Iterator[io.BufferedReader]:
    """Open a file to read the bytes that were compressed, or its own."""
    with contextlib.ExitStack() as stack:
        content: Any = stack.enter_context(file.path.open("rb"))
        kind = _compression(file)
        if kind == ".gz":
            content = stack.enter_context(gzip.GzipFile(fileobj=content))
        elif kind == ".zst":
            content = stack.enter_context(pa.CompressedInputStream(content, "zstd"))
        yield stack.enter_context(io.BufferedReader(content))

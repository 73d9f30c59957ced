"""Rows of a table of results: of files, of data frames, and of what trackers export."""

import ast
import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from transfer.errors import TransferError
from transfer.user_paths import user_path

Record = dict[str, Any]

# Sections that trackers put in one cell, or before the name of a column.
SECTIONS = ("config", "summary", "params", "metrics")
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather")
_NAMED_NUMBERS = {"nan": math.nan, "inf": math.inf}


def read_records(source: Any) -> list[Record]:
    """Return the rows of a table, by column; a cell of sections is a column for each of its keys.

    Arguments:
      source: a path of `.csv`, `.tsv`, `.jsonl`, `.parquet` or `.arrow`, a pandas, polars or
        Arrow table, or a sequence of mappings.

    Raises:
      TransferError: it is none of these, cannot be read, or is empty.

    Example:
      >>> read_records([{"summary": "{'loss': 2.5}", "config.lr": 0.1}])
      [{'summary.loss': 2.5, 'config.lr': 0.1}]
    """
    name = source_name(source)
    try:
        rows = _rows(source)
    except TransferError:
        raise
    except Exception as error:  # of whichever library a frame is, or of a file
        said = " ".join(str(error).split())[:200].rstrip(".:;") or type(error).__name__
        raise TransferError(
            f"{name} cannot be read as a table ({said}); expected a whole file of "
            f"{', '.join(_ENDINGS)} in UTF-8 or a data frame, with a row for each run."
        ) from error
    if not rows:
        raise TransferError(f"{name} has no rows; expected one for each run of a sweep.")
    return [_flat(row) for row in rows]


def source_name(source: Any) -> str:
    """Return what a table is called in messages: the name of its file, or its type.

    Example:
      >>> source_name("runs/results.csv"), source_name([{}])
      ('runs/results.csv', 'The list')
    """
    if isinstance(source, str | epath.PathLike):
        return str(source)
    return f"The {type(source).__name__}"


def _rows(source: Any) -> list[Record]:
    if isinstance(source, str | epath.PathLike):
        return _rows_of_file(user_path(source, "table"))
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source).to_pylist()
    if hasattr(source, "to_dict"):  # pandas before it spoke Arrow
        return list(source.to_dict("records"))
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        rows = list(source)
        if all(isinstance(row, Mapping) for row in rows):
            return [dict(row) for row in rows]
    raise TransferError(
        f"The table is of type {type(source).__name__}; expected the path of a file, a pandas, "
        "polars or Arrow table, or a list of dictionaries."
    )


def _rows_of_file(path: epath.Path) -> list[Record]:
    if not path.exists():
        raise TransferError(f"There is no table {path}; expected the path of one.")
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        text = path.read_bytes().decode("utf-8-sig")
        return _rows_of_csv(text, "\t" if kind == ".tsv" else ",", path)
    if kind in (".jsonl", ".ndjson"):
        return _rows_of_lines(path.read_bytes().decode("utf-8-sig"), path)
    if kind == ".parquet":
        return pq.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
    if kind in (".arrow", ".feather"):
        content = path.read_bytes()
        is_file = content.startswith(b"ARROW1")
        opened = pa.ipc.open_file(content) if is_file else pa.ipc.open_stream(content)
        return opened.read_all().to_pylist()
    raise TransferError(
        f"The table {path} ends in {kind or 'nothing'}; expected one of {', '.join(_ENDINGS)}, or "
        "a run directory."
    )


def _rows_of_csv(text: str, delimiter: str, path: epath.Path) -> list[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = [(reader.line_num, row) for row in reader if row]
    if not lines:
        return []
    (_, header), *body = lines
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise TransferError(
            f"The table {path} has the column {repeated[0]} twice; expected each once."
        )
    for number, row in body:
        if len(row) != len(header):
            raise TransferError(
                f"The table {path} has {len(row)} cells in the row that ends on line {number}; "
                f"expected {len(header)}, as its header has."
            )
    return [dict(zip(header, row, strict=True)) for _, row in body]


def _rows_of_lines(text: str, path: epath.Path) -> list[Record]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TransferError(
                f"The table {path} holds no whole JSON object on line {number} ({error}); expected "
                "one on every line: mend or remove that line."
            ) from error
        if not isinstance(row, dict):
            raise TransferError(
                f"The table {path} holds {type(row).__name__} on line {number}; expected a JSON "
                "object on every line."
            )
        rows.append(row)
    return rows


def _flat(row: Mapping[str, Any], prefix: str = "") -> Record:
    found: Record = {}
    for name, value in row.items():
        section = _section(value) if name in SECTIONS or prefix else None
        if section is None:
            found[f"{prefix}{name}"] = value
        else:
            found |= _flat(section, f"{prefix}{name}.")
    return found


def _section(value: Any) -> Mapping[str, Any] | None:
    """The keys and values of a cell, which JSON or Python may have written as text."""
    if isinstance(value, str) and value.startswith("{"):
        text = value
        try:
            value = json.loads(text)
        except ValueError:
            value = _literal(text)
    return value if isinstance(value, Mapping) else None


def _literal(text: str) -> object:
    """What Python wrote, without running any of it; the text itself where it is no literal."""
    try:
        tree = ast.parse(text, mode="eval")
        return ast.literal_eval(_NumbersByName().visit(tree))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


class _NumbersByName(ast.NodeTransformer):
    """`nan` and `inf`, as Python prints them, are names in its own syntax."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in _NAMED_NUMBERS:
            return node
        return ast.copy_location(ast.Constant(_NAMED_NUMBERS[node.id]), node)


def column_names(records: Sequence[Record]) -> list[str]:
    """Return the columns of all rows, in the order in which they come up."""
    return list(dict.fromkeys(name for record in records for name in record))

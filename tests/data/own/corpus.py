"""Documents of one's own, and each way to store them."""

import csv
import gzip
import json
import pathlib
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS = [
    f'document {i}: "tiger",\nburning\tbright in naïve 夜 {"x" * (i % 7)}' for i in range(80)
]
OTHERS = [f"https://example.org/{i}" for i in range(80)]


def write_jsonl(path: pathlib.Path, field: str = "text", opened: Callable = open) -> None:
    with opened(path, "wt", encoding="utf-8") as file:
        for url, document in zip(OTHERS, DOCUMENTS, strict=True):
            file.write(json.dumps({"url": url, field: document, "length": len(document)}) + "\n")


def write_csv(path: pathlib.Path, field: str = "text", opened: Callable = open) -> None:
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if ".tsv" in path.name.lower() else ",")
        writer.writerow(["url", field])
        writer.writerows(zip(OTHERS, DOCUMENTS, strict=True))


def table(field: str = "text") -> pa.Table:
    return pa.table({"url": OTHERS, field: DOCUMENTS, "length": [*map(len, DOCUMENTS)]})


def write_parquet(path: pathlib.Path, field: str = "text") -> None:
    pq.write_table(table(field), path, row_group_size=30, compression="zstd")


def write_stream(path: pathlib.Path, field: str = "text") -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table().schema) as writer:
        writer.write_table(table(field), max_chunksize=30)


def write_feather(path: pathlib.Path, field: str = "text") -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table(field), max_chunksize=30)


def open_gzip(path: pathlib.Path, mode: str, **settings: str):
    return gzip.open(path, mode, **settings)


def compress_zstd(path: pathlib.Path) -> pathlib.Path:
    """Write a compressed copy beside a file, remove the file, and return the copy's path."""
    copy = path.with_name(f"{path.name}.zst")
    with pa.CompressedOutputStream(str(copy), "zstd") as output:
        output.write(path.read_bytes())
    path.unlink()
    return copy

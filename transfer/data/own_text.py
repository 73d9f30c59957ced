"""Text of one's own as a source of documents: the files below a path, whatever their formats."""

from collections.abc import Iterator

from etils import epath

from transfer.data.config import DataConfig
from transfer.data.fingerprint import combine_fingerprints
from transfer.data.own_files import (
    HELD_OUT_ONE_IN,
    FileSplit,
    OwnFile,
    OwnFiles,
    fingerprint_files,
)
from transfer.data.text_formats import COMPRESSED, documents_of, format_of, text_fields
from transfer.errors import TransferError, nearest

_DEFAULT_FIELD = "text"
_PIECES = 256  # no piece of plain text is more than this part of a split
_SHORTEST_PIECE, _LONGEST_PIECE = 2**12, 2**20


class OwnText:
    """The documents in one's own files, read a part of a file at a time.

    Records are documents: lines of `.jsonl`, rows of `.csv`, `.tsv`, `.parquet` and `.arrow`. Any
    other file is plain text and one document, or several where it is long: it is cut at the first
    end of a line after

        min(2^20, max(2^12, bytes of plain text in the split / 256)) bytes

    so that one long file can be split and shuffled. All may be compressed as `.gz` or `.zst`, but
    for `.parquet` and `.arrow`. Documents without a character are left out.

    files         the files below the path
    field         holds the text of a record: `data.text_feature`, or the only field with text where
                  that is "text" and there is none; the first file of records decides
    token_folder  where token files go

    Raises `TransferError` when the first file of records has no such field of text.

    Example:
      >>> import pathlib, tempfile
      >>> folder = pathlib.Path(tempfile.mkdtemp())
      >>> _ = (folder / "poem.txt").write_text("tiger tiger" * 10)
      >>> source = OwnText(OwnFiles(epath.Path(folder)), DataConfig())
      >>> [len(document) for document in source.documents("train")]
      [110]
    """

    def __init__(self, files: OwnFiles, config: DataConfig):
        self.files = files
        self.token_folder: epath.Path = config.token_folder
        self._record_folder = config.record_folder
        self.field = _choose_field(files, config.text_feature)

    def documents(self, split: str) -> Iterator[str]:
        """Yield the documents of a split, file by file in the order of their names.

        Raises `TransferError` when the split does not exist or holds no document, and when a file
        is not what its ending says or not in UTF-8.
        """
        return self._read(self.files.split(split))

    def fingerprint(self, split: str) -> str:
        """Return a sha256 hex digest that changes with the bytes of the split's files.

        From 1 GiB on, files whose size and time of modification are as before are not read again.
        """
        chosen = self.files.split(split)
        content = fingerprint_files(chosen.files, _ending, self._record_folder)
        taken = f"{chosen.held_out} of {HELD_OUT_ONE_IN}"
        return combine_fingerprints("own text", self.field, taken, content)

    def _read(self, split: FileSplit) -> Iterator[str]:
        piece = _piece(split.files)
        count, is_empty = 0, True
        for file in split.files:
            for document in documents_of(file, self.field, piece):
                count += 1
                if split.has(document.encode()):
                    is_empty = False
                    yield document
        if is_empty:
            raise self.files.empty_split(split, count, "documents")


def _choose_field(files: OwnFiles, wanted: str) -> str:
    for file in [file for split in files.splits for file in files.split(split).files]:
        kind = format_of(file)
        if kind is None:
            continue
        fields = text_fields(file, kind)
        if wanted in fields:
            return wanted
        if wanted == _DEFAULT_FIELD and len(fields) == 1:
            return fields[0]
        raise TransferError(
            f'The file {file} has no field "{wanted}" that holds text{nearest(wanted, fields)}; '
            f"set data.text_feature to one of: {', '.join(fields) or 'none, it holds no text'}."
        )
    return wanted


def _piece(files: tuple[OwnFile, ...]) -> int:
    size = sum(file.size for file in files if format_of(file) is None)
    return min(_LONGEST_PIECE, max(_SHORTEST_PIECE, size // _PIECES))


def _ending(file: OwnFile) -> str:
    """What decides how a file is read."""
    kept = 2 if file.ending in COMPRESSED else 1
    return "".join(file.endings[-kept:])

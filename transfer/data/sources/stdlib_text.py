"""The embedded data set: the source files of the Python standard library.

About 31 MB of real code that every Python install already has, prepared in about a second,
without a download.
"""

import hashlib
import os
import pathlib
import platform
import sysconfig
from collections.abc import Iterator

import tensorflow_datasets as tfds

from transfer.data.config import DataConfig
from transfer.data.prepared import prepare_embedded
from transfer.data.sources.tfds_text import TfdsText
from transfer.errors import TransferError

_EXCLUDED = frozenset({"site-packages", "dist-packages", "__pycache__"})
_HELD_OUT_ONE_IN = 20


class StdlibText(tfds.core.GeneratorBasedBuilder):
    """Features path and text of every `.py` file, in the order of their paths.

    One file in 20, chosen by a hash of its path, is held out as "test"; the rest is "train". No
    file is in both.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # nothing is downloaded, so TFDS need not look for checksums

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Source files of the Python standard library.",
            features=tfds.features.FeaturesDict(
                {"path": tfds.features.Text(), "text": tfds.features.Text()}
            ),
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, str]]]]:
        del dl_manager
        return {
            "train": self._generate_examples(held_out=False),
            "test": self._generate_examples(held_out=True),
        }

    def _generate_examples(self, held_out: bool) -> Iterator[tuple[int, dict[str, str]]]:
        for key, (path, content) in enumerate(_standard_library()):
            if _is_held_out(path) == held_out:
                yield key, {"path": path, "text": content.decode(errors="replace")}


def open_stdlib_text(config: DataConfig) -> TfdsText:
    """Open the embedded data set, prepared in `config.folder` at first use.

    Its folder is named by the Python version and a digest of the files, so another Python, or a
    patched one, prepares its own. Raises `TransferError` when this Python ships no source files
    or the folder cannot be written.
    """
    folder = config.folder / f"python-{platform.python_version()}-{_digest()[:12]}"

    def make() -> StdlibText:
        return StdlibText(data_dir=folder, file_format="array_record")

    builder = prepare_embedded("stdlib_text", make, config.folder)
    return TfdsText(builder, config.text_feature, config.token_folder)


def _standard_library() -> Iterator[tuple[str, bytes]]:
    """Yield the relative posix path and the content of every source file, sorted by path."""
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    paths = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _EXCLUDED]
        paths += [pathlib.Path(folder, name) for name in files if name.endswith(".py")]
    relative = {path.relative_to(root).as_posix(): path for path in paths}
    for name in sorted(relative):
        yield name, relative[name].read_bytes()


def _digest() -> str:
    digest = hashlib.sha256()
    empty = True
    for path, content in _standard_library():
        empty = False
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    if empty:
        raise TransferError(
            f"This Python has no standard library sources in {sysconfig.get_path('stdlib')}; "
            "use a Python that ships them or another data.name."
        )
    return digest.hexdigest()


def _is_held_out(path: str) -> bool:
    return int(hashlib.sha256(path.encode()).hexdigest(), 16) % _HELD_OUT_ONE_IN == 0

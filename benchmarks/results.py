"""What was measured, in one small JSON file that is written after every block.

A part that was cut off goes on with its next block. What another machine, other versions or other
code measured is measured anew, because a ratio is between things that met the same machine.
"""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from benchmarks.workers import ROOT, available_cores
from transfer.atomic import atomic_write

FILE = pathlib.Path(__file__).with_name("results.json")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


class Ratio(NamedTuple):
    """A ratio of medians, with the lowest and the highest of the ratios of single blocks."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.lowest:.2f}, {self.highest:.2f}]"

    @classmethod
    def of(cls, first: Sequence[float], second: Sequence[float]) -> Self:
        """Of two contenders that were measured in the same blocks.

        Example:
          >>> print(Ratio.of([1.0, 2.0, 6.0], [2.0, 2.0, 3.0]))
          1.00 [0.50, 2.00]
        """
        ratios = [a / b for a, b in zip(first, second, strict=True)]
        return cls(statistics.median(first) / statistics.median(second), min(ratios), max(ratios))


@dataclasses.dataclass
class Results:
    """All parts of the file.

    A part has `under`, all that a measurement depends on beside what is measured; `began` and
    `ended`; `facts`; and `cases`, the values of each contender by block.
    """

    parts: dict[str, Any]
    path: pathlib.Path = FILE

    @classmethod
    def read(cls, path: pathlib.Path = FILE) -> Self:
        """Read the file; without one, nothing is measured yet."""
        return cls(json.loads(path.read_text()) if path.exists() else {}, path)

    def part(self, name: str, under: Mapping[str, Any], *, anew: bool = False) -> "Part":
        """Open a part, empty if it is asked to be or was measured under anything else."""
        known = self.parts.get(name)
        if anew or known is None or known["under"] != under:
            now = _now()
            self.parts[name] = {
                "under": dict(under),
                "revision": revision_of(ROOT),
                "began": now,
                "ended": now,
                "facts": {},
                "cases": {},
            }
        return Part(self.parts[name], self.parts, self._write)

    def _write(self) -> None:
        with atomic_write(self.path) as file:
            file.write((json.dumps(self.parts, indent=1) + "\n").encode())


@dataclasses.dataclass
class Part:
    """One part of the file, the contents of all parts, and how they are written."""

    content: dict[str, Any]
    others: Mapping[str, Any]
    write: Callable[[], None]

    def missing(self, case: str, blocks: int) -> bool:
        """Whether a case has fewer blocks than wanted."""
        contenders = self.content["cases"].get(case, {})
        return not contenders or min(map(len, contenders.values())) < blocks

    def alternate(
        self, case: str, contenders: Mapping[str, Callable[[], float]], blocks: int
    ) -> None:
        """Measure all contenders in each block that is missing, every other time backwards."""
        measured = self.content["cases"].setdefault(case, {})
        for name in contenders:
            measured.setdefault(name, [])
        for block in range(min(map(len, measured.values())), blocks):
            names = list(contenders)
            values = {name: contenders[name]() for name in (names[::-1] if block % 2 else names)}
            for name in names:
                measured[name] = [*measured[name][:block], values[name]]
            self.content["ended"] = _now()
            self.write()
            shown = ", ".join(f"{name} {values[name]:.4g}" for name in names)
            print(f"  {case}, block {block + 1} of {blocks}: {shown}", flush=True)

    def fact(self, name: str, value: Any) -> None:
        """Keep something that was found out beside the times."""
        self.content["facts"][name] = value
        self.write()


def circumstances(folder: pathlib.Path, torch: str = "") -> dict[str, Any]:
    """Machine, versions and code that times depend on.

    Arguments:
      folder: the checkout whose library is measured.
      torch: version of it, in whichever interpreter it is.
    """
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    if torch:
        versions["torch"] = torch
    return {
        "machine": {
            "processor": _processor(),
            "cores": available_cores(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": f"{platform.system()} {platform.release()}",
        },
        "python": platform.python_version(),
        "versions": versions,
        "library": code_of(folder),
    }


def code_of(folder: pathlib.Path) -> str:
    """Name the library's code in a checkout by a hash, because a revision may have been edited."""
    digest = hashlib.sha256()
    for path in sorted(folder.joinpath("transfer").rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def revision_of(folder: pathlib.Path) -> str:
    """Name the revision of a checkout, or nothing where there is none."""
    argv = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    """What the system calls its processor; several virtual machines say no more than a maker."""
    known = pathlib.Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")

"""Which functions of this library a compiled program was traced in.

JAX writes the Python frames of every operation before the program that it compiles.
"""

import pathlib
import re

import transfer

_HOME = str(pathlib.Path(transfer.__file__).parent)
_TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
_NUMBER = re.compile(r"(\w+)=(\d+)")


def functions(text: str) -> dict[int, str]:
    """Return by the number of a stack the innermost function or class of this library in it."""
    tables = _tables(text)
    locations = {key: dict(_NUMBER.findall(line)) for key, line in tables["FileLocations"].items()}
    frames = {key: dict(_NUMBER.findall(line)) for key, line in tables["StackFrames"].items()}

    def innermost(key: int) -> str:
        while key in frames:
            place = locations[int(frames[key]["file_location_id"])]
            file = tables["FileNames"][int(place["file_name_id"])].strip('"')
            if file.startswith(_HOME):
                name = tables["FunctionNames"][int(place["function_name_id"])].strip('"')
                return name.partition(".")[0]
            # The text counts parents from 1 on, where 1 is none, and frames too.
            key = int(frames[key]["parent_frame_id"]) - 1
        return ""

    return {key: name for key in frames if (name := innermost(key))}


def _tables(text: str) -> dict[str, dict[int, str]]:
    """What stands before the program: numbered lines under each title."""
    found: dict[str, dict[int, str]] = {title: {} for title in _TABLES}
    table: dict[int, str] | None = None
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY ")):
            break
        if line in found:
            table = found[line]
        elif not line:
            table = None
        elif table is not None:
            key, _, content = line.partition(" ")
            table[int(key)] = content
    return found

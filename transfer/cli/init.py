"""Copies a configuration that ships with transfer into a file of your own: transfer init NAME.

Without a name it lists them.
"""

import ast
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags

from transfer.cli.shipped import shipped, shipped_file
from transfer.errors import TransferError

# `transfer init quickstart` is short for `transfer init --name=quickstart`.
POSITIONAL = ("name",)


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    absl_flags.DEFINE_string("name", None, "which configuration to copy", flag_values=values)
    absl_flags.DEFINE_string(
        "output", None, "the file to write (default: NAME.py here)", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Copy a configuration, or list them."""
    name = values["name"].value
    if not name:
        for each, file in shipped().items():
            heading = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
            print(f"{each:20} {heading}")
        return 0
    file = shipped_file(name)
    output = Path(values["output"].value or f"{name}.py").expanduser()
    try:
        with output.open("x") as copy:
            copy.write(file.read_text())
    except FileExistsError:
        raise TransferError(
            f"{output} is there already and is kept; expected --output=FILE with another name."
        ) from None
    except OSError as error:
        raise TransferError(
            f"{output} cannot be written ({error.strerror}); expected --output=FILE in a folder "
            "that can be."
        ) from error
    print(f"Written to {output}. transfer sweep --config={output} --run=runs/{name} trains it.")
    return 0

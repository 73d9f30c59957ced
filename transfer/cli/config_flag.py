"""`--config=FILE.py` or a shipped name, its overrides `--config.section.key=value`, and refusals.

The overrides are those of `ml_collections.config_flags`; the file is read here, so that whatever it
does wrong is one sentence with its line.
"""

import re
import traceback
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from transfer.cli.flags import wants_help
from transfer.cli.shipped import shipped
from transfer.errors import TransferError, nearest

if typing.TYPE_CHECKING:
    from ml_collections import ConfigDict

_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]*)")


def define_config(
    values: flags.FlagValues, argv: Sequence[str], default: str | None = None
) -> None:
    """Define --config and those of its overrides that `argv` names."""
    from ml_collections import config_flags

    config_flags.DEFINE_config_file(
        "config",
        None,
        "a config file, or the name of one that transfer init lists; --config.section.key=value "
        "overrides it" + (f" (default: {default})" if default else ""),
        flag_values=values,
        sys_argv=list(argv),
    )
    values["config"].parser = _ConfigFile(argv)
    # Reading a config imports the models, which help need not wait for.
    if default and not wants_help(argv):
        values.set_default("config", default)


def require_config_keys(argv: Sequence[str]) -> None:
    """Raise `TransferError` for an override of a setting that does not exist."""
    if keys := _overridden(argv):
        from transfer.config import require_key

        for key in keys:
            require_key(key)


def _overridden(argv: Sequence[str]) -> list[str]:
    return [match[1] for argument in argv if (match := _OVERRIDE.match(argument))]


class _ConfigFile(flags.ArgumentParser):
    """From the path of a config file to what its `get_config` returns."""

    def __init__(self, argv: Sequence[str]):
        self._overridden = _overridden(argv)

    def parse(self, argument: Any) -> "ConfigDict":
        """Read the file; raises `TransferError` with the line where it fails."""
        from ml_collections import ConfigDict

        file = _file(argument)
        content: dict[str, Any] = {"__name__": "config", "__file__": str(file)}
        try:
            exec(compile(file.read_bytes(), str(file), "exec"), content)
            config = content["get_config"]() if "get_config" in content else None
        except Exception as error:  # whatever the code of a user raises
            raise TransferError(
                f"The config file {file} fails{_place(error, file)}: {_first_line(error)}; "
                "expected a get_config function that returns transfer.config.template(), filled in."
            ) from error
        if "get_config" not in content:
            raise TransferError(
                f"The config file {file} has no get_config function; expected one that returns "
                "transfer.config.template(), filled in, such as that of configs/transformer.py."
            )
        if not isinstance(config, ConfigDict):
            raise TransferError(
                f"get_config of the config file {file} returns {config!r}; expected "
                "transfer.config.template(), filled in."
            )
        from transfer.config import require_key

        for key in self._overridden:
            require_key(key, config)
        return config


def _file(argument: str) -> Path:
    """Return the file of that path or, where there is none, the shipped one of that name."""
    file = Path(argument).expanduser()
    if file.is_file():
        return file
    names = shipped()
    if argument in names:
        return names[argument]
    raise TransferError(
        f"There is no config file {file}{nearest(argument, names)}; expected a Python file with a "
        f"get_config function, or one that ships with transfer: {', '.join(names)}."
    )


def _place(error: Exception, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return f" in line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    return f" in line {lines[-1]}" if lines else ""


def _first_line(error: Exception) -> str:
    message = error.msg if isinstance(error, SyntaxError) else error
    text = str(message).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}, {text}" if text else type(error).__name__

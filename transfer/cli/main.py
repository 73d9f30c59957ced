"""`transfer VERB ...`: finds the verb, reads its flags, turns errors into one sentence.

Nothing heavy is imported before the verb is known, so that help is instant.
"""

import contextlib
import importlib
import logging
import os
import re
import shutil
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from types import ModuleType

from absl import flags

import transfer
from transfer import termination
from transfer.cli.config_flag import require_config_keys
from transfer.cli.flags import wants_help
from transfer.distributed import job, supervisor, timeouts
from transfer.errors import TransferError, missing_platform, nearest

VERBS = {
    "quickstart": "see learning rates transfer on embedded text, in minutes",
    "sweep": "train every trial that a config declares, at every width",
    "predict": "hyperparameters for a wide target, from a sweep of narrow proxies",
    "forecast": "the loss of a wide target, before it trains",
    "plan": "memory, FLOPs, messages and time on TPUs that need not be there",
    "train": "one run, with checkpoints",
    "report": "verdict, page and figures of a run directory",
    "spectrum": "top singular values against width",
    "check": "does the model do at every width what its recipe says",
    "explain": "what a recipe gives every parameter of a model",
    "export": "weights that run without this library",
    "tokenizer": "train a tokenizer on a data set",
    "watch": "the page of a run in a browser, renewed as trials end",
    "compare": "two runs: their settings, best losses and verdicts",
    "runs": "the run directories below a folder",
    "config": "print a configuration with all of its settings",
    "init": "copy a configuration that ships with transfer",
}

# Verbs that several processes run as one; the others are for a single process.
MULTI_PROCESS_VERBS = ("sweep", "train")
# What a shell reports of a command that SIGPIPE has ended.
_READER_GONE = 128 + signal.SIGPIPE
STATUSES = {
    0: "done",
    1: "not done, for the reason that it says",
    2: "wrong usage",
    3: "checked, and the data leave some sizes undecided (transfer check)",
    4: "checked, and some sizes differ from theory (transfer check)",
    termination.STATUS: "asked to stop by SIGTERM and saved: the same command goes on",
    timeouts.PEER_LOST: "another process of the job is gone or stuck: the same command goes on",
    termination.INTERRUPTED: "interrupted by Ctrl-C; training has saved: the same command goes on",
    _READER_GONE: "nobody reads what it prints any more, as in transfer explain ... | head",
}

_USAGE = "usage: transfer VERB [--config=FILE.py] [--config.section.key=value ...] [--run=DIR]"


def run() -> None:
    """Entry point of the `transfer` command."""
    try:
        status = main(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be printed, when the interpreter ends too, goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _READER_GONE
    sys.exit(status)


def main(argv: Sequence[str]) -> int:
    """Run a verb and return the exit status, one of `STATUSES`.

    One of several processes that cannot go on ends here and now: the others have to notice.
    """
    verb = argv[1] if len(argv) > 1 else ""
    if verb in ("", "help", "-h", "--help", "-help"):
        print(_help())
        return 0 if verb else 2
    if verb == "--version":
        print(f"transfer {transfer.__version__}")
        return 0
    if verb not in VERBS:
        _complain(
            "transfer",
            f'The verb "{verb}" is unknown{nearest(verb, VERBS)}; expected one of '
            f"{', '.join(VERBS)}; transfer --help says what they do.",
        )
        return 2
    several = verb in MULTI_PROCESS_VERBS and not wants_help(argv[2:]) and job.described()
    if several and not supervisor.is_supervised():
        return supervisor.supervise()
    status = _do(verb, argv)
    if job.joined():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _do(verb: str, argv: Sequence[str]) -> int:
    try:
        module = importlib.import_module(f"transfer.cli.{verb}")
        values = _flags(module, [argv[0], *_named(module, argv[2:])])
        if wants_help(argv[2:]):
            print(_verb_help(verb, module, values))
            return 0
        with _library_warnings():
            return int(module.run(values) or 0)
    except TransferError as error:
        _complain(f"transfer {verb}", str(error))
        return timeouts.PEER_LOST if isinstance(error, job.AloneError) else 1
    except termination.TerminatedError as error:
        if job.is_first_or_alone():
            said = str(error).rstrip(".")
            _complain(f"transfer {verb}", f"{said}; the same command goes on from there.")
        return error.status
    except KeyboardInterrupt:
        _complain(f"transfer {verb}", "interrupted; run the same command again.")
        return termination.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, ImportError):
            _complain(f"transfer {verb}", _lacking(error))
            return 1
        if sentence := missing_platform(error):
            _complain(f"transfer {verb}", sentence)
            return 1
        if not job.joined():
            raise
        if sentence := job.lost_process(error):
            _complain(f"transfer {verb}", sentence)
            return timeouts.PEER_LOST
        traceback.print_exc()
        return 1


def _lacking(error: ImportError) -> str:
    """Say which package is not installed, such as the one that knows a bucket."""
    said = str(error).rstrip(".") or "ImportError"
    return f"a package that this needs is missing ({said}); expected it to be installed with pip."


class _Said(logging.Handler):
    """Prints what the library warns of as the command prints all else."""

    def emit(self, record: logging.LogRecord) -> None:
        from transfer.cli.console import say

        say(record.getMessage())


@contextlib.contextmanager
def _library_warnings() -> Iterator[None]:
    """Inside, warnings of the library are part of what the command prints."""
    logger, handler = logging.getLogger("transfer"), _Said()
    propagated = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _complain(who: str, sentence: str) -> None:
    print(f"{who}: {sentence}", file=sys.stderr)


def _named(module: ModuleType, arguments: Sequence[str]) -> list[str]:
    """Give the first arguments of a verb that takes some without names, their names."""
    given = list(arguments)
    for place, name in enumerate(getattr(module, "POSITIONAL", ())):
        if place >= len(given) or given[place].startswith("-"):
            break
        given[place] = f"--{name}={given[place]}"
    return given


def _flags(module: ModuleType, argv: Sequence[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    try:
        module.define(values, argv)
        if not wants_help(argv):
            _parse(values, argv)
    except flags.UnrecognizedFlagError as error:
        raise TransferError(_unknown_flag(error.flagname, values)) from None
    except flags.IllegalFlagValueError as error:
        raise TransferError(_illegal_value(str(error), values)) from None
    except flags.Error as error:
        said = _one_line(error).rstrip(".")
        raise TransferError(f"{said}; expected flags of the form --name=value.") from None
    return values


def _parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
    if "config" in values:
        require_config_keys(argv)
    rest = values(list(argv))
    if rest[1:]:
        raise TransferError(
            f'"{rest[1]}" is no flag; expected flags of the form --name=value after the verb.'
        )


def _unknown_flag(name: str, values: flags.FlagValues) -> str:
    if name.startswith("config.") and "config" in values:
        return f"--{name} overrides a configuration, but none was given; expected --config=FILE.py."
    known = [f"--{flag}" for flag in values]
    return (
        f"The flag --{name} is unknown{nearest(f'--{name}', known)}; expected one of "
        f"{', '.join(sorted(known))}."
    )


def _illegal_value(message: str, values: flags.FlagValues) -> str:
    """Put absl's `flag --NAME=VALUE: what Python says of it` into words of our own."""
    match = re.match(r"flag --([^=]+)=(.*?): ", message, re.DOTALL)
    if not match:
        return _one_line(message)
    name, value = match.groups()
    if name.startswith("config."):
        from transfer.config import expected

        return f'--{name} is "{value}"; expected {expected(name.removeprefix("config."))}.'
    flag = values[name]
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        kind = f"{' or '.join(choices)}{nearest(value, choices)}"
    else:
        kind = {"int": "a whole number", "bool": "true or false"}.get(
            flag.flag_type(), "another value"
        )
    return f'--{name} is "{value}"; expected {kind}.'


def _one_line(error: object) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith(".") else f"{text}."


def _help() -> str:
    width = max(map(len, VERBS)) + 4
    lines = [_filled(f"  {verb}".ljust(width) + line, width) for verb, line in VERBS.items()]
    statuses = [_filled(f"  {n:<4}{means}", 6) for n, means in STATUSES.items()]
    return "\n".join(
        [
            *(_USAGE, "", *lines, ""),
            _filled("transfer VERB --help says what a verb takes."),
            *("", "It exits with", *statuses),
        ]
    )


def _verb_help(verb: str, module: ModuleType, values: flags.FlagValues) -> str:
    texts = {flag.name: flag.help or "" for flag in values._flags().values()}
    lines = [_filled(f"  --{name}: {text}", 6) for name, text in sorted(texts.items())]
    paragraphs = (module.__doc__ or "").strip().split("\n\n")
    explained = "\n\n".join(_filled(" ".join(each.split())) for each in paragraphs)
    if "config" in values:
        lines += ["", _filled("docs/settings.md says what every setting of a configuration does.")]
    return "\n".join([_filled(f"transfer {verb}: {VERBS[verb]}"), "", explained, "", *lines])


def _filled(text: str, indent: int = 0) -> str:
    columns = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(
        text,
        columns,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )

"""`transfer VERB ...`: finds the verb, reads its flags, turns errors into one sentence.

Nothing heavy is imported before the verb is known, so that help is instant.
"""

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from absl import flags

from transfer.cli import flags as shared
from transfer.errors import TransferError, nearest

VERBS = {
    "quickstart": "see learning rates transfer on embedded text, in minutes",
    "sweep": "train every trial that a config declares, at every width",
    "predict": "hyperparameters for a wide target, from a sweep of narrow proxies",
    "train": "one run, with checkpoints",
    "report": "figures and verdict.json of a run directory",
    "spectrum": "top singular values against width",
    "explain": "what a recipe gives every parameter of a model",
    "export": "weights that run without this library",
    "tokenizer": "train a tokenizer on a data set",
}

_USAGE = "usage: transfer VERB [--config=FILE.py] [--config.section.key=value ...] [--run=DIR]"


def run() -> None:
    """Entry point of the `transfer` command."""
    sys.exit(main(sys.argv))


def main(argv: Sequence[str]) -> int:
    """Run a verb and return the exit status: 0 for success, 1 for an error, 2 for bad usage."""
    verb = argv[1] if len(argv) > 1 else ""
    if verb in ("", "help", "-h", "--help", "-help"):
        print(_help())
        return 0 if verb else 2
    if verb not in VERBS:
        print(
            f'transfer: the verb "{verb}" is unknown{nearest(verb, VERBS)}.\n{_help()}',
            file=sys.stderr,
        )
        return 2
    try:
        module = importlib.import_module(f"transfer.cli.{verb}")
        values = _define(module)
        if any(word in ("-h", "--help", "-help", "--helpfull") for word in argv[2:]):
            print(_verb_help(verb, module, values))
            return 0
        if "config" in values:
            shared.require_config_keys(argv[2:])
        _parse(values, [argv[0], *argv[2:]])
        return int(module.run(values) or 0)
    except TransferError as error:
        print(f"transfer {verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"transfer {verb}: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130


def _define(module: ModuleType) -> flags.FlagValues:
    values = flags.FlagValues()
    module.define(values)
    return values


def _parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
    try:
        rest = values(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise TransferError(_unknown_flag(error.flagname, values)) from None
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise TransferError(_one_line(error)) from None
    if rest[1:]:
        raise TransferError(
            f'"{rest[1]}" is no flag; expected flags of the form --name=value after the verb.'
        )


def _unknown_flag(name: str, values: flags.FlagValues) -> str:
    known = [flag for flag in values if not flag.startswith("undef")]
    return (
        f"The flag --{name} is unknown{nearest(name, known)}; expected one of "
        f"{', '.join(f'--{flag}' for flag in sorted(known))}."
    )


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).strip("'\"").split())
    return text if text.endswith(".") else f"{text}."


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {line}" for verb, line in VERBS.items()]
    return "\n".join([_USAGE, "", *lines, "", "transfer VERB --help says what a verb takes."])


def _verb_help(verb: str, module: ModuleType, values: flags.FlagValues) -> str:
    own = sorted((flag.name, flag.help or "") for flag in values._flags().values())
    lines = [f"  --{name}: {text}" for name, text in dict(own).items()]
    return "\n".join(
        [f"transfer {verb}: {VERBS[verb]}", "", (module.__doc__ or "").strip(), "", *lines]
    )

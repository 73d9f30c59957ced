"""Writes docs/settings.md from the docstrings of the configuration: `python docs/settings.py`."""

import dataclasses
import inspect
import pathlib
import types
import typing

from transfer.config import Experiment, expected

PAGE = pathlib.Path(__file__).with_suffix(".md")
_HEAD = """\
# Settings

Every setting of a configuration, from the docstrings of the classes that check it. A config file
sets `config.SECTION.NAME`, a command line `--config.SECTION.NAME=VALUE`. `transfer config
--config=FILE.py` prints what a configuration resolves to. `python docs/settings.py` makes this
page.
"""


def page() -> str:
    """Return the page: a section per class, with its docstring, settings and defaults."""
    return "\n".join([_HEAD, *_sections(Experiment(), "")])


def _sections(defaults: typing.Any, path: str) -> typing.Iterator[str]:
    kind = type(defaults)
    name = f"`{path}`" if path else "The experiment"
    chosen = next((f.default for f in dataclasses.fields(kind) if f.name == "kind"), "")
    yield f"## {name}{f', kind {chosen}' if chosen else ''}\n"
    said, _, _ = (inspect.getdoc(kind) or "").partition("\n\nExample:")
    yield from ("```text", said, "```", "")
    hints = typing.get_type_hints(kind)
    sections, rows = [], []
    for field in dataclasses.fields(kind):
        at, of = f"{path}.{field.name}".lstrip("."), hints[field.name]
        kinds = typing.get_args(of) if isinstance(of, types.UnionType) else (of,)
        if dataclasses.is_dataclass(kinds[0]):
            default = getattr(defaults, field.name)
            sections += [(default if type(default) is each else each(), at) for each in kinds]
        elif field.name != "kind":
            rows.append(f"| `{at}` | {expected(at)} | `{getattr(defaults, field.name)!r}` |")
    if rows:
        yield from ("| setting | takes | default |", "|---|---|---|", *rows, "")
    for each, at in sections:
        yield from _sections(each, at)


if __name__ == "__main__":
    PAGE.write_text(page())

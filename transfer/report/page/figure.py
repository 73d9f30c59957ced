"""What a figure of the page consists of, before it becomes HTML."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from transfer.report.page.looks import Look
from transfer.report.tables import Table


@dataclasses.dataclass(frozen=True)
class Panel:
    """A chart under a heading.

    `shown_for` says for which values of the figure's controls it is there, by control name.
    """

    heading: str
    spec: dict[str, Any]
    shown_for: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Option:
    """A value that a reader can choose, as text and with the look of its marks."""

    value: Any
    label: str
    look: Look | None = None


@dataclasses.dataclass(frozen=True)
class Control:
    """Inputs that a reader sets, and a key to the marks.

    `name` is that of the charts' parameter that holds what is chosen, or of the panels'
    `shown_for`. A checkbox chooses any of its options, a radio button one, a switch turns one on.
    """

    legend: str
    name: str
    kind: Literal["checkbox", "radio", "switch"]
    options: Sequence[Option]

    @property
    def initial(self) -> Any:
        """What is chosen at first: all of the checkboxes, the first radio button, no switch."""
        if self.kind == "switch":
            return False
        chosen = self.options if self.kind == "checkbox" else self.options[:1]
        return [option.value for option in chosen]


def checkboxes(legend: str, name: str, looks: Mapping[Any, Look]) -> Control:
    """Return a control of series, which is the key to their looks too."""
    options = [Option(value, str(value), look) for value, look in looks.items()]
    return Control(legend, name, "checkbox", options)


def by_recipe(names: Iterable[str]) -> Control:
    """Return the control that chooses the panels of recipes."""
    return Control("Recipe", "recipes", "checkbox", [Option(name, name) for name in names])


WHOLE_RANGE = Control("Loss", "whole", "switch", [Option(True, "whole range")])
"""Shows the losses that a close-up leaves out."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A mark that is no choice, with what it means."""

    label: str
    look: Look


@dataclasses.dataclass(frozen=True)
class ColourScale:
    """A scale from one labelled end to the other."""

    colours: Sequence[str]
    low: str
    high: str
    about: str


@dataclasses.dataclass(frozen=True)
class Figure:
    """A claim, charts that show it, how to read them, and their numbers as a table."""

    key: str
    claim: str
    about: str
    panels: Sequence[Panel]
    table: Table
    controls: Sequence[Control] = ()
    keys: Sequence[Key] = ()
    scale: ColourScale | None = None

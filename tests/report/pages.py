"""Pages of runs, and what is in them."""

import dataclasses
import html.parser
import json

from transfer.analysis import judge, sweeps_by_recipe
from transfer.report.page import report_page

# What makes a browser fetch something, by tag or in any tag.
_FETCHING = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction"}


def page_of(run, *, task="", provenance=None, configuration=None, objective=None) -> str:
    trials, spectrum = run.trials(), run.spectrum()
    sweeps = sweeps_by_recipe(trials)
    verdict = judge(trials, spectrum, task=task, provenance=provenance or {}, sweeps=sweeps)
    if objective is not None:
        verdict = dataclasses.replace(verdict, objective=objective)
    return report_page(trials, run.metrics(), spectrum, sweeps, verdict, configuration or {})


class Page(html.parser.HTMLParser):
    """The tags, visible text, styles and chart specifications of a page."""

    def __init__(self, content: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.style = "", ""
        self.figures: dict[str, list[dict]] = {}
        self._figure, self._kind = "", ""
        self.feed(content)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.text += " "
        if tag == "figure":
            self._figure = attributes["id"]
            self.figures[self._figure] = []
        if tag in ("script", "style"):
            self._kind = attributes.get("type") or tag

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._kind = ""

    def handle_data(self, data):
        if self._kind == "style":
            self.style += data
        elif self._kind == "application/json":
            self.figures[self._figure].append(json.loads(data))
        elif not self._kind:
            self.text += data

    @property
    def fetches(self) -> list[str]:
        """What the page itself would load: attributes that name a file, and styles that do."""
        named = [
            f"{tag} {name}={value}"
            for tag, attributes in self.tags
            for name, value in attributes.items()
            if name in _FETCHING or "url(" in (value or "")
        ]
        return named + [word for word in ("@import", "url(") if word in self.style]


def data_of(spec, layer) -> list[dict]:
    """Return the rows that a layer of a chart draws."""
    layer = spec["layer"][layer]
    return spec["datasets"][layer.get("data", spec.get("data"))["name"]]

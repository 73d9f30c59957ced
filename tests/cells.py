"""What a reader sees of HTML."""

import html.parser


class _Reader(html.parser.HTMLParser):
    def __init__(self, content: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.text = ""
        self._inside = False
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.text += " "
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag):
        self._inside &= tag not in ("td", "th")

    def handle_data(self, data):
        self.text += data
        if self._inside:
            self.rows[-1][-1] += data


def cells_of(content: str) -> list[list[str]]:
    """Return the text of all tables' cells, row by row."""
    return _Reader(content).rows


def tags_of(content: str) -> set[str]:
    """Return the kinds of tags that a browser finds."""
    return _Reader(content).tags


def text_of(content: str) -> str:
    """Return all text, with single spaces."""
    return " ".join(_Reader(content).text.split())

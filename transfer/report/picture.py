"""A figure as a notebook shows it."""

import dataclasses
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Pixels on the page for an inch of a figure, and on the screen for one of those: sharp where
# screens are dense, and small enough to be kept in a notebook.
_PER_INCH, _DENSITY = 84, 1.5
_COLOURS = 160


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG, and the words that stand for it where it cannot be seen; shows itself in a notebook.

    Its size is that on the page, in pixels.
    """

    png: bytes = dataclasses.field(repr=False)
    alt: str
    width: int
    height: int

    @classmethod
    def of(cls, figure: "Figure") -> "Picture":
        """Draw a figure; its alternative text is its claim and the titles of its panels."""
        from PIL import Image

        width, height = figure.get_size_inches()
        buffer, small = io.BytesIO(), io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_PER_INCH * _DENSITY)
        # A chart has few colours, and a palette is a quarter of the size.
        Image.open(buffer).convert("RGB").quantize(_COLOURS).save(small, "png", optimize=True)
        titles = [axis.get_title(loc="left") for axis in figure.axes]
        told = [figure.get_suptitle(), *filter(None, titles)]
        return cls(
            png=small.getvalue(),
            alt=". ".join(" ".join(text.split()) for text in told),
            width=round(width * _PER_INCH),
            height=round(height * _PER_INCH),
        )

    def _repr_png_(self) -> tuple[bytes, dict[str, str | int]]:
        return self.png, {"alt": self.alt, "width": self.width, "height": self.height}

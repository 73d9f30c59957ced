"""How series are told apart: by colour, dash and shape at once.

Colours are names of the stylesheet's variables, which have a value for light and one for dark; all
have a contrast of at least 3 to 1 with what is behind them. Shapes are paths in a box from -1 to 1.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.colors import to_hex

SHAPES = (
    "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",  # circle
    "M-.9,-.9H.9V.9H-.9Z",  # square
    "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",  # diamond
    "M0,-1.15L1.15,.9H-1.15Z",  # triangle up
    "M0,1.15L1.15,-.9H-1.15Z",  # triangle down
    "M-1.1,-.4H-.4V-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1Z",  # plus
)
CROSS = "M-.8,-.8L.8,.8M.8,-.8L-.8,.8"
STAR = (
    "M0,-1L.235,-.324L.951,-.309L.38,.124L.588,.809L0,.4L-.588,.809L-.38,.124L-.951,-.309"
    "L-.235,-.324Z"
)
_DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 3, 2, 3))

# Okabe and Ito's colours: orange and sky darker on white, black turned to white on black.
_CATEGORIES = (
    ("#0072B2", "#56A8E0"),
    ("#C85200", "#F08A3C"),
    ("#00835F", "#1BC79A"),
    ("#B0528A", "#DB94BC"),
    ("#9A6A00", "#E69F00"),
    ("#3A8FC4", "#9AD2F5"),
    ("#202020", "#F0F0F0"),
)
# The shares of viridis that show on white and on near black.
_ON_LIGHT, _ON_DARK = (0.58, 0.0), (0.4, 0.95)


@dataclasses.dataclass(frozen=True)
class Look:
    """A colour of the stylesheet, a dash pattern (empty: no gaps), and a shape.

    None for the shape or the dash means that there are no points, or no line.
    """

    colour: str
    dash: tuple[int, ...] | None = ()
    shape: str | None = None


def width_looks(widths: Iterable[int]) -> dict[int, Look]:
    """Return a look per width; the wider, the further its colour is from the background's.

    Example:
      >>> width_looks([32, 16])[16].colour
      'var(--width-0)'
    """
    return {
        width: Look(f"var(--width-{place})", (), SHAPES[place % len(SHAPES)])
        for place, width in enumerate(sorted(set(widths)))
    }


def category_looks(names: Sequence[str]) -> dict[str, Look]:
    """Return a look per name; colours repeat after 7, with another shape and dash.

    Example:
      >>> looks = category_looks([f"block {k}" for k in range(40)])
      >>> len({(look.colour, look.dash, look.shape) for look in looks.values()})
      40
    """
    colours = len(_CATEGORIES)
    return {
        name: Look(
            f"var(--category-{place % colours})",
            _DASHES[(place + place // colours) % len(_DASHES)],
            SHAPES[place % len(SHAPES)],
        )
        for place, name in enumerate(names)
    }


def colour_variables(widths: int) -> Mapping[str, tuple[str, str]]:
    """Return the value on light and on dark of every colour that a look may name.

    Example:
      >>> colour_variables(widths=2)["--width-1"]
      ('#440154', '#dfe318')
    """
    viridis = matplotlib.colormaps["viridis"]

    def shade(place: int, ends: tuple[float, float]) -> str:
        share = place / (widths - 1) if widths > 1 else 1.0
        return to_hex(viridis(ends[0] + share * (ends[1] - ends[0])))

    shades = {f"--width-{k}": (shade(k, _ON_LIGHT), shade(k, _ON_DARK)) for k in range(widths)}
    return shades | {f"--category-{k}": pair for k, pair in enumerate(_CATEGORIES)}

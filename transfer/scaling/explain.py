"""What a recipe does to a model, one row per parameter."""

import dataclasses
from collections.abc import Iterator

from transfer.scaling.layout import Layout
from transfer.scaling.recipe import Recipe
from transfer.scaling.rule import Family
from transfer.text_table import Tabular, TextTable


@dataclasses.dataclass(frozen=True)
class ExplanationRow:
    """One parameter: its place in the model and the five numbers a recipe gives it.

    `std` is the init std itself, None for a constant; for a model of one's own, whose init the
    layout does not know, it is the factor over the base width's as text. The learning rate, decay
    and epsilon are factors of the optimizer's own.
    """

    parameter: str
    axes: str
    shape: tuple[int, ...]
    role: str
    m_in: str
    m_out: str
    m_depth: str
    std: float | str | None
    multiplier: float
    learning_rate: float
    weight_decay: float
    epsilon: float


@dataclasses.dataclass(frozen=True)
class Explanation(Tabular):
    """The rows of `explain`; prints as an aligned table."""

    recipe: Recipe
    family: Family
    rows: tuple[ExplanationRow, ...]

    def __iter__(self) -> Iterator[ExplanationRow]:
        return iter(self.rows)

    def cells(self) -> list[list[str]]:
        """Header and rows as text, for any renderer."""
        header = [field.name.replace("_", " ") for field in dataclasses.fields(ExplanationRow)]
        return [header, *([_text(value) for value in dataclasses.astuple(row)] for row in self)]

    def text_table(self) -> TextTable:
        """Return the table without axes, and without depth where no stack's depth changes."""
        flat = all(row.m_depth == "1" for row in self)
        hidden = {"axes", "m depth"} if flat else {"axes"}
        header, *rows = self.cells()
        shown = [place for place, name in enumerate(header) if name not in hidden]
        cells = [[row[place] for place in shown] for row in (header, *rows)]
        return TextTable(self._caption, cells)

    def __str__(self) -> str:
        return str(TextTable(self._caption, self.cells()))

    @property
    def _caption(self) -> str:
        return f"{self.recipe} for {self.family} optimizers"


def explain(layout: Layout, recipe: Recipe | str, family: Family = "entrywise") -> Explanation:
    """Say what a recipe gives each parameter of a layout, at the layout's width and depth.

    Example:
      >>> from transfer.scaling import Annotated, Axes, Layout, Recipe
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(64), probe=kernel(128), target=kernel(256))
      >>> for row in explain(layout, Recipe("mup")):
      ...     print(row.role, row.learning_rate, row.weight_decay)
      hidden 0.25 2.0
    """
    recipe, rows = Recipe.of(recipe), []
    for path, rule in recipe.rules(layout, family).items():
        parameter = layout[path]
        rows.append(
            ExplanationRow(
                parameter=path,
                axes=str(parameter.axes),
                shape=parameter.shape,
                role=rule.role.value,
                m_in=str(parameter.m_in),
                m_out=str(parameter.m_out),
                m_depth=str(parameter.m_depth),
                std=recipe.init_std(parameter)
                if layout.multiplied is None
                else f"x {rule.std:.4g}",
                multiplier=rule.multiplier,
                learning_rate=rule.learning_rate,
                weight_decay=rule.weight_decay,
                epsilon=rule.epsilon,
            )
        )
    return Explanation(recipe, family, tuple(rows))


def _text(value: object) -> str:
    if value is None:
        return "const"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)

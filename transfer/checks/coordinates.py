"""The coordinate check: how sizes follow width, beside what the recipe predicts."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import optax

from transfer import optim
from transfer.checks.diagnosis import diagnose
from transfer.checks.measured_sizes import MakeOptimizer, SizeKey, measure_sizes
from transfer.checks.model_under_test import ModelUnderTest, user_model
from transfer.checks.predictions import Predictions
from transfer.checks.rows import CheckRow
from transfer.errors import TransferError, explained, explained_calls
from transfer.markup import html_paragraph, html_table
from transfer.scaling import Family, Layout, Recipe, Slopes
from transfer.text_table import aligned


@dataclasses.dataclass(frozen=True)
class CoordinateCheck:
    """The rows of a coordinate check, held against a recipe, and what is wrong in words."""

    recipe: Recipe
    family: Family
    widths: tuple[int, ...]
    rows: tuple[CheckRow, ...]
    findings: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every row that theory speaks of agrees with it."""
        return all(row.verdict in ("agrees", "not judged") for row in self)

    def __iter__(self) -> Iterator[CheckRow]:
        return iter(self.rows)

    def __getitem__(self, key: SizeKey) -> CheckRow:
        return next(row for row in self if (row.quantity, row.name, row.step) == key)

    def cells(self) -> list[list[str]]:
        """Header and rows as text, for any renderer."""
        header = ["quantity", "of", *map(str, self.widths), "slope", "predicted", "verdict"]
        return [header, *(row.cells() for row in self)]

    def __str__(self) -> str:
        return "\n".join([*aligned(self.cells()), *self.findings])

    def _repr_html_(self) -> str:
        """The answer in words, and the rows to unfold, for notebooks."""
        judged = sum(row.verdict != "not judged" for row in self)
        right = sum(row.verdict == "agrees" for row in self)
        strong = "Agrees:" if self.agrees else "Does not agree:"
        told = f"{right} of {judged} sizes follow width as {self.recipe} predicts."
        header, *_ = self.cells()
        # Rows that are not judged have nothing to compare; wrong rows come first.
        rows = sorted(
            (row for row in self if row.verdict != "not judged"),
            key=lambda row: row.verdict == "agrees",
        )
        cells = [header, *(row.cells() for row in rows)]
        table = html_table("Root mean squares by width, and their slopes", cells)
        return "\n".join(
            [
                html_paragraph(told, strong=strong),
                *map(html_paragraph, self.findings),
                f"<details><summary>Every size</summary>\n{table}\n</details>",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "recipe": str(self.recipe),
            "family": self.family,
            "widths": list(self.widths),
            "agrees": self.agrees,
            "findings": list(self.findings),
            "rows": [row.to_json() for row in self],
        }


def check_coordinates(
    model: ModelUnderTest,
    widths: Sequence[int],
    *,
    make_optimizer: MakeOptimizer | None = None,
    family: Family = "entrywise",
    learning_rate_exponent: float = 0.0,
    against: Recipe | str | None = None,
    seeds: int = 4,
    steps: int = 4,
    progress: Callable[[float], None] = lambda fraction: None,
) -> CoordinateCheck:
    """Measure a model at several widths and compare every slope with the recipe's.

    Measured at each width and seed: the root mean square of weights, gradients, first updates,
    activations and their changes, by an infinitesimal step and by `steps` real ones, and of the
    output. Slopes are of log2 size over log2 width by least squares. A row agrees within 0.15 of
    its prediction, differs where its whole interval over seeds is further away, and is unclear
    otherwise. Changes by real steps are judged where theory says that no change grows with width:
    beyond first order it says nothing of the others.

    Arguments:
      model: from `transfer.checks.user_model` or `transfer.checks.built_in_model`.
      widths: at least two; several doublings tell slopes apart best.
      make_optimizer: layout to an optax transformation; by default AdamW with the
        recipe at 2^-8, or SGD for the linear family.
      family: which family's exponents the optimizer should show.
      learning_rate_exponent: by which power of width the caller's own learning rate follows width.
      against: another recipe whose predictions to compare with, by default the model's own.

    Raises:
      TransferError: fewer than two widths or seeds, or no step.

    Example:
      >>> import jax.numpy as jnp
      >>> from transfer.checks import built_in_model
      >>> from transfer.models import MLPConfig
      >>> from transfer.scaling import Hyperparameters
      >>> model = built_in_model(
      ...     MLPConfig(layers=1, features=4, outputs=64),
      ...     base_width=64,
      ...     recipe=Recipe("standard"),
      ...     inputs=jnp.ones((1, 4)),
      ...     hyperparameters=Hyperparameters(learning_rate=1.0),
      ... )
      >>> check = check_coordinates(model, (64, 256), steps=1)
      >>> row = check["update", "layers.1.linear.kernel", 0]
      >>> row.expected, row.verdict
      ('+0.00', 'agrees')

    Source: arXiv 2203.03466 (appendix D.1), 2011.14522; predictions in `transfer.Slopes`.
    """
    try:
        widths = tuple(sorted(set(widths)))
    except TypeError:
        raise TransferError(
            f"The widths are {widths!r}; expected several whole numbers, such as (64, 128, 256)."
        ) from None
    if len(widths) < 2 or seeds < 2 or steps < 1:
        raise TransferError(
            f"A coordinate check of {len(widths)} widths, {seeds} seeds and {steps} steps has no "
            "slope or no interval; expected at least two widths, two seeds and one step."
        )
    make_optimizer = explained_calls(
        make_optimizer or functools.partial(_default, model.recipe, family),
        "make_optimizer",
        "a function from the layout to an optax transformation",
    )
    against = model.recipe if against is None else Recipe.of(against)
    measured = {}
    for done, width in enumerate(widths):
        progress(done / len(widths))
        with explained(
            f"The forward pass, its gradient or the optimizer at width {width}",
            "a model that can be differentiated with inputs=, and an optimizer of optax for it",
        ):
            measured[width] = measure_sizes(model, width, range(seeds), steps, make_optimizer)
    progress(1.0)
    predictions = Predictions(
        Slopes(against, family, learning_rate_exponent),
        model.layout(widths[-1]),
        measured[widths[0]].terms,
        measured[widths[-1]].terms,
        measured[widths[-1]].narrowed,
    )
    rows = tuple(
        CheckRow.of(key, {width: sizes.values[key] for width, sizes in measured.items()}, predicted)
        for key in measured[widths[0]].values
        for predicted in [predictions(key)]
    )
    return CoordinateCheck(against, family, widths, rows, diagnose(rows, predictions))


def check(
    build: Callable[[int, int], Any],
    widths: Sequence[int],
    *,
    base_width: int,
    recipe: Recipe | str,
    inputs: Any,
    apply: Callable[..., Any] | None = None,
    axes: Mapping[str, str] | None = None,
    multiplied: Iterable[str] = (),
    rescale: bool = False,
    make_optimizer: MakeOptimizer | None = None,
    family: Family = "entrywise",
    seeds: int = 4,
    steps: int = 4,
) -> CoordinateCheck:
    """Check that every size inside a model follows width as its recipe says.

    Printed, the check is a table of slopes beside their predictions, and `findings`: a sentence for
    each thing that is wrong, such as an init, a learning rate, a multiplier or the scale of
    attention logits.

    Arguments:
      build: width and seed to a flax.nnx module, a linen module, or a tree of parameters.
      widths: at least two; several doublings tell slopes apart best.
      base_width: where the learning rate is meant as it stands.
      recipe: what the model is meant to follow.
      inputs: a batch, or a tuple of several arrays.
      apply, axes, multiplied: as in `transfer.infer_layout`; a tree needs `apply`.
      rescale: whether training passes the parameters through `transfer.rescale_init` first.
      make_optimizer: layout to an optax transformation; by default AdamW, or SGD for the linear
        family, with the recipe.
      family: which family's exponents the optimizer should show.
      seeds: how many inits to average over.
      steps: how many real steps to take after the infinitesimal one.

    Raises:
      TransferError: fewer than two widths or seeds, an output that is not one array, a tree without
        `apply`, or what `transfer.infer_layout` refuses.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> def build(width, seed):
      ...     rngs = nnx.Rngs(seed)
      ...     return nnx.Sequential(
      ...         nnx.Linear(4, width, rngs=rngs), nnx.relu, nnx.Linear(width, 1, rngs=rngs)
      ...     )
      >>> recipe = Recipe("mup_table3")
      >>> inputs = jnp.ones((1, 4))
      >>> checked = check(build, (64, 256), base_width=64, recipe=recipe, inputs=inputs, steps=1)
      >>> print(checked.findings[0])
      The model is initialized as under standard and not as under mup_table3+sqrt \
(layers.2.kernel): pass its parameters through transfer.rescale_init before training.

    Source: arXiv 2203.03466 (appendix D.1).
    """
    model = user_model(
        build,
        base_width=base_width,
        recipe=recipe,
        inputs=inputs,
        apply=apply,
        axes=axes,
        multiplied=multiplied,
        rescale=rescale,
    )
    return check_coordinates(
        model, widths, make_optimizer=make_optimizer, family=family, seeds=seeds, steps=steps
    )


def _default(recipe: Recipe, family: Family, layout: Layout) -> optax.GradientTransformation:
    if family == "linear":
        return optim.sgd(2.0**-8, layout=layout, recipe=recipe)
    # A larger epsilon would hide how the rest follows width.
    return optim.adamw(2.0**-8, layout=layout, recipe=recipe, eps=1e-20)

"""The coordinate check: how sizes follow width, beside what the recipe predicts."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import optax

from transfer import optim
from transfer.checks.diagnosis import diagnose
from transfer.checks.graph_slopes import derive_slopes
from transfer.checks.limits import dead_inputs, limits_of, terms_in_the_middle
from transfer.checks.measured_sizes import MakeOptimizer, SizeKey, measure_sizes
from transfer.checks.model_under_test import ModelUnderTest, user_model
from transfer.checks.predictions import Predictions
from transfer.checks.rows import CheckRow
from transfer.errors import TransferError, explained, explained_calls
from transfer.markup import html_paragraph, html_table
from transfer.scaling import Family, Layout, Recipe, Slopes
from transfer.text_table import aligned

Outcome = Literal["agrees", "undecided", "differs"]


@dataclasses.dataclass(frozen=True)
class CoordinateCheck:
    """The rows of a coordinate check, held against a recipe, and what is wrong in words.

    Attributes:
      recipe, family, widths: what was held against which theory, and where.
      rows: every size against width.
      findings: a sentence for each thing that is proven to be wrong.
      limits: sentences on what these widths, seeds and inputs cannot decide.
    """

    recipe: Recipe
    family: Family
    widths: tuple[int, ...]
    rows: tuple[CheckRow, ...]
    findings: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """`differs` if a row is proven to; `agrees` if every row that is judged does."""
        verdicts = {row.verdict for row in self._judged}
        if "differs" in verdicts:
            return "differs"
        return "agrees" if verdicts == {"agrees"} else "undecided"

    @property
    def agrees(self) -> bool:
        """Whether every row that theory speaks of agrees with it."""
        return self.outcome == "agrees"

    @property
    def answer(self) -> str:
        """The outcome in a sentence."""
        judged = self._judged
        counts = {
            verdict: sum(row.verdict == verdict for row in judged)
            for verdict in ("agrees", "undecided", "differs")
        }
        told = f"{counts['agrees']} of {len(judged)} sizes follow width as {self.recipe} predicts"
        for verdict, words in (("differs", "differ"), ("undecided", "are undecided")):
            if counts[verdict]:
                told += f", {counts[verdict]} {words}"
        opening = {"agrees": "Agrees", "undecided": "Undecided", "differs": "Differs"}
        return f"{opening[self.outcome]}: {told}."

    def __iter__(self) -> Iterator[CheckRow]:
        return iter(self.rows)

    def __getitem__(self, key: SizeKey) -> CheckRow:
        return next(row for row in self if (row.quantity, row.name, row.step) == key)

    @property
    def open_rows(self) -> tuple[CheckRow, ...]:
        """The rows that differ, and after them those that are undecided."""
        return tuple(
            row for verdict in ("differs", "undecided") for row in self if row.verdict == verdict
        )

    def cells(self, rows: Iterable[CheckRow] | None = None) -> list[list[str]]:
        """Header and rows as text, for any renderer; by default all rows."""
        header = ["quantity", "of", *map(str, self.widths), "slope", "predicted", "verdict"]
        return [header, *(row.cells() for row in (self if rows is None else rows))]

    def __str__(self) -> str:
        sentences = [self.answer, *self.limits, *self.findings]
        table = aligned(self.cells(self.open_rows)) if self.open_rows else []
        return "\n".join([*sentences, *table])

    def _repr_html_(self) -> str:
        """The answer in words, and the rows to unfold, for notebooks."""
        strong, _, told = self.answer.partition(" ")
        # Rows that are not judged have nothing to compare; wrong rows come first.
        rows = [*self.open_rows, *(row for row in self if row.verdict == "agrees")]
        table = html_table("Root mean squares by width, and their slopes", self.cells(rows))
        return "\n".join(
            [
                html_paragraph(told, strong=strong),
                *map(html_paragraph, (*self.limits, *self.findings)),
                f"<details><summary>Every size</summary>\n{table}\n</details>",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "recipe": str(self.recipe),
            "family": self.family,
            "widths": list(self.widths),
            "outcome": self.outcome,
            "agrees": self.agrees,
            "limits": list(self.limits),
            "findings": list(self.findings),
            "rows": [row.to_json() for row in self],
        }

    @property
    def _judged(self) -> list[CheckRow]:
        return [row for row in self if row.verdict != "not judged"]


def check_coordinates(
    model: ModelUnderTest,
    widths: Sequence[int],
    *,
    make_optimizer: MakeOptimizer | None = None,
    family: Family = "entrywise",
    learning_rate_exponent: float = 0.0,
    against: Recipe | str | None = None,
    seeds: int = 8,
    steps: int = 4,
    progress: Callable[[float], None] = lambda fraction: None,
) -> CoordinateCheck:
    """Measure a model at several widths and compare every slope with the recipe's.

    Measured at each width and seed: the root mean square of weights, gradients, first updates,
    activations and their changes, by an infinitesimal step and by `steps` real ones, and of the
    output. Slopes are of log2 size over log2 width by least squares. Theory tells slopes apart that
    differ by 1/2: a row agrees where its whole interval (`slope_interval`) is within 1/4 of its
    prediction, differs where the interval is outside, and is undecided otherwise. Changes by real
    steps are judged where theory says that no change grows with width: beyond first order it says
    nothing of the others. Predictions behind maps to a fixed size inside of the model, such as the
    neck of an autoencoder, are derived from its forward pass (`derive_slopes`).

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
    narrow, wide = measured[widths[0]], measured[widths[-1]]
    layouts = {width: model.layout(width) for width in widths}
    slopes = Slopes(against, family, learning_rate_exponent)
    graphs = (narrow.graph, wide.graph)
    predictions = Predictions(
        slopes,
        layouts,
        narrow.terms,
        wide.terms,
        narrow.structure,
        derive_slopes(slopes, layouts[widths[0]], narrow.interpreter, graphs, narrow.zeros),
        narrow.zeros,
    )
    predicted = {key: predictions(key) for key in narrow.values}
    judged = sum(each is not None for each in predicted.values())
    rows = tuple(
        CheckRow.of(
            key,
            {width: sizes.values[key] for width, sizes in measured.items()},
            predicted[key],
            tolerance=predictions.tolerance(key),
            terms=terms_in_the_middle(layouts),
            rows=judged,
        )
        for key in narrow.values
    )
    dead = dead_inputs(model.inputs)
    if dead:
        rows = tuple(row if row.quantity == "weight" else row.left_open() for row in rows)
    limits = dead or limits_of(rows, predictions, seeds)
    return CoordinateCheck(against, family, widths, rows, diagnose(rows, predictions), limits)


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
    seeds: int = 8,
    steps: int = 4,
) -> CoordinateCheck:
    """Check that every size inside a model follows width as its recipe says.

    The check's `outcome` is `agrees`, `undecided` or `differs`. Printed, it says so, then what the
    widths, seeds and inputs cannot decide (`limits`) and what is wrong (`findings`: an init, a
    learning rate, a multiplier or the scale of attention logits), and lists the rows behind it.

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

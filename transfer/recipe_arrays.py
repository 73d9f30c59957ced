"""A recipe as arrays: what it prescribes for every parameter of one model, as data of a program."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from transfer.errors import TransferError
from transfer.scaling import Family, Layout, Parameter, Recipe, Rule

_COLUMNS = ("std", "multiplier", "learning_rate", "weight_decay", "epsilon", "clip")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RecipeArrays:
    """What a recipe prescribes for every parameter of a layout, as a pytree of arrays.

    It stands wherever a `Recipe` does in optimizers, init, multipliers and singular values. Its
    numbers may be traced: one compiled program then serves every recipe, and under `jax.vmap` every
    trial may have its own. A parameter that a recipe does not decay has the factor 0, and raw
    clipping is a weight of 1.

    Fields:
      columns: by the name of a field of `Rule`, its numbers (..., parameters) in the layout's
        order.
      init_stds: (..., parameters), the init stds; 0 for constants.
      multipliers: (..., parameters and multipliers), `Recipe.multiplier` of each.
      paths: the parameters.
      multiplied: the parameters, and the forward multipliers that the model declares.
      family: of optimizers, for which the columns hold.
    """

    columns: dict[str, Any]
    init_stds: Any
    multipliers: Any
    paths: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    multiplied: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    family: Family = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(
        cls,
        recipe: Recipe | str,
        layout: Layout,
        family: Family = "entrywise",
        *,
        multipliers: Layout = Layout({}),
    ) -> "RecipeArrays":
        """Evaluate a recipe for a layout; `multipliers` are the model's own declared ones.

        Raises `TransferError` as `Recipe.rules` does.

        Example:
          >>> from transfer.scaling import Annotated, Axes
          >>> axes = Axes.parse("embed -> ffn")
          >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
          >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
          >>> arrays = RecipeArrays.of(Recipe("mup"), layout)
          >>> float(arrays.rules(layout)["up"].learning_rate)
          0.25
        """
        recipe = Recipe.of(recipe)
        rules = recipe.rules(layout, family)
        every = {**layout, **multipliers}
        return cls(
            columns={
                name: traced_numbers([getattr(rule, name) for rule in rules.values()])
                for name in _COLUMNS
            },
            init_stds=traced_numbers([recipe.init_std(each) or 0.0 for each in layout.values()]),
            multipliers=traced_numbers([recipe.multiplier(each) for each in every.values()]),
            paths=tuple(layout),
            multiplied=tuple(every),
            family=family,
        )

    @classmethod
    def stack(cls, arrays: Sequence["RecipeArrays"]) -> "RecipeArrays":
        """Put the recipes of several trials along a leading axis of every array."""
        return jax.tree.map(lambda *leaves: np.stack(leaves), *arrays)

    def rules(self, layout: Layout, family: Family | None = None) -> dict[str, Rule]:
        """Return the rule of every parameter of a layout; its numbers are arrays ().

        Raises `TransferError` for another family, and for a layout with other parameters than that
        which the arrays were made for.
        """
        if family not in (None, self.family):
            raise TransferError(
                f"The recipe was evaluated for {self.family} optimizers but this one is {family}; "
                f'expected RecipeArrays.of(recipe, layout, "{family}").'
            )
        places = {path: place for place, path in enumerate(self.paths)}
        if missing := [path for path in layout if path not in places]:
            raise TransferError(
                f"The recipe was not evaluated for {missing[0]}; expected RecipeArrays.of(recipe, "
                "layout) with the layout of this very model."
            )
        return {
            path: Rule(
                role=parameter.role,
                **{name: values[..., places[path]] for name, values in self.columns.items()},
            )
            for path, parameter in layout.items()
        }

    def init_std(self, parameter: Parameter) -> Any:
        """Init std of a parameter, an array (); None for a constant."""
        if parameter.base_std is None:
            return None
        return self.init_stds[..., self.paths.index(parameter.path)]

    def multiplier(self, parameter: Parameter) -> Any:
        """Forward multiplier of a weight, of a contraction or of a branch, an array ()."""
        return self.multipliers[..., self.multiplied.index(parameter.path)]


# What tells optimizers, init and probes what every parameter takes; a name stands for its recipe.
AnyRecipe = Recipe | RecipeArrays | str


def resolved(recipe: AnyRecipe) -> Recipe | RecipeArrays:
    """Return a recipe, or its arrays, themselves, and the recipe of a name (`Recipe.of`)."""
    return recipe if isinstance(recipe, RecipeArrays) else Recipe.of(recipe)


def traced_numbers(values: Sequence[float]) -> np.ndarray:
    """Return numbers as a program takes them: in float32, or float64 where that is switched on."""
    return np.array(values, jax.dtypes.canonicalize_dtype(np.float64))

"""The forward multipliers of a model of one's own."""

from transfer.errors import TransferError
from transfer.scaling.layout import Layout
from transfer.scaling.parameter import Role
from transfer.scaling.recipe import Recipe


def multiplier(layout: Layout, recipe: Recipe | str, path: str, role: Role | None = None) -> float:
    """Return the forward multiplier that a model has to apply to the weight at `path`.

    It is `Recipe.multiplier`, for a model of one's own that follows a form with multipliers, such
    as `mup`'s readout.

    Arguments:
      layout: of that model (`transfer.infer_layout`), at the width to be trained.
      path: the weight, as the layout names it.
      role: which use of a tied embedding is meant; `Role.OUTPUT` scales its logits.

    Raises `TransferError` for a path or a reparametrized layer that the layout does not hold, and
    for a role that the weight does not have.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> readout = lambda n: {"w": Annotated(axes=Axes.parse("embed -> vocab"), shape=(n, 9))}
      >>> layout = Layout.compare(base=readout(64), probe=readout(128), target=readout(256))
      >>> multiplier(layout, Recipe("mup"), "w")
      0.25
    """
    recipe = Recipe.of(recipe)
    recipe.reparametrization.require(layout.whole or layout)
    parameter = layout[path]
    if role is None or role == parameter.role:
        return recipe.multiplier(parameter)
    if not (parameter.tied and role == Role.OUTPUT):
        raise TransferError(
            f"{path} is no {role} weight but {parameter.role}; expected its own role, or the role "
            "output of a tied embedding."
        )
    return recipe.multiplier(parameter.as_readout)

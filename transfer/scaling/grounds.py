"""How far a move can be trusted: what its rule stands on, where that is from, where it ends.

`theory` is derived for a limit that the model approaches, `empirical` was fitted or holds in a
regime that is not checked here, `none` moves on no ground at all.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from transfer.scaling.decay import Calibration
from transfer.scaling.recipe import Recipe
from transfer.scaling.rule import Family

Standing = Literal["theory", "empirical", "none"]


@dataclasses.dataclass(frozen=True)
class Ground:
    """The standing of a rule, its source, and in a sentence when it holds."""

    standing: Standing
    source: str
    validity: str


def of_rates(recipe: Recipe) -> Ground:
    """What the width rules of init, multiplier, learning rate and epsilon stand on."""
    if recipe.rates == "uniform":
        return Ground(
            "none",
            "arXiv 2407.05872",
            "one learning rate for all layers does not stay best as width grows: its optimum was "
            "seen to fall.",
        )
    if recipe.table.rates == "full" == recipe.rates:
        return Ground(
            "theory",
            "arXiv 2203.03466",
            "holds as width grows at fixed depth, batch and number of steps; what is left at "
            "finite width shrinks with the width of the proxy.",
        )
    return Ground(
        "empirical",
        "arXiv 2407.05872",
        "these exponents per layer were seen to transfer; they are not those of the feature-"
        "learning limit.",
    )


def of_decay(recipe: Recipe, family: Family) -> Ground:
    """What the width rule of decay stands on."""
    if family != "entrywise":
        return Ground(
            "empirical",
            "",
            "holds what a weight loses per step, learning rate times decay; no width rule of decay "
            "is known for this family.",
        )
    if isinstance(recipe.decay, Calibration):
        return Ground(
            "empirical",
            "arXiv 2510.15262",
            "holds the top singular values if they go on growing with width as they did over the "
            "proxies, and once runs have settled.",
        )
    return _DECAY.get(str(recipe.decay)) or Ground(
        "empirical",
        "arXiv 2510.15262",
        f"holds the top singular value if that was measured to grow as sqrt(learning rate / decay) "
        f"width^{(1 + float(recipe.decay)) / 2:g}, and once runs have settled.",
    )


_DECAY: Mapping[str, Ground] = {
    "sqrt": Ground(
        "empirical",
        "arXiv 2510.15262",
        "holds the top singular value if that grows as sqrt(learning rate / decay) width^0.75, "
        "which is a fit and may be another power elsewhere, and once runs have settled.",
    ),
    "independent": Ground(
        "empirical",
        "arXiv 2405.13698, 2510.19093",
        "holds what a weight loses per step, so the share of the run that it averages over.",
    ),
    "constant": Ground(
        "none",
        "arXiv 2203.03466",
        "the coefficient is left as it is: decay as a regulariser is not known to transfer.",
    ),
}
DEPTH: Mapping[str, Ground] = {
    "completep": Ground(
        "theory",
        "arXiv 2505.01618",
        "holds as depth grows for residual blocks that normalise their input; decay is beside the "
        "theory.",
    ),
    "depth_mup": Ground(
        "theory",
        "arXiv 2309.16620, 2505.01618",
        "holds as depth grows for blocks of a single layer; in deeper ones, such as a "
        "transformer's, each layer learns less and less, and decay is beside the theory.",
    ),
}
HORIZON: Mapping[str, Ground] = {
    "batch": Ground(
        "empirical",
        "arXiv 2205.10287, 2006.09092",
        "is theory where gradients are mostly noise, at batches far below the noise scale; above "
        "it the best learning rate stops growing.",
    ),
    "tokens": Ground(
        "empirical",
        "arXiv 2512.22382",
        "was seen to serve longer runs under the same shape of schedule; no equation says that it "
        "must.",
    ),
}

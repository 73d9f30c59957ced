"""How far an extrapolation can be trusted: what its rule rests on, and when that holds.

A rule has the level `theory` where it is derived for a limit that the model approaches, `empirical`
where it was fitted or holds in a regime that is not checked here, and `none` where nothing speaks
for it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from transfer.scaling.decay import Calibration
from transfer.scaling.measured_horizon import MeasuredHorizon
from transfer.scaling.recipe import Recipe
from transfer.scaling.rule import Family

EvidenceLevel = Literal["theory", "empirical", "none"]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The level of a rule's evidence, its source, and in a sentence when the rule holds."""

    level: EvidenceLevel
    source: str
    validity: str


def of_rates(recipe: Recipe) -> Evidence:
    """Evidence for the width rules of init, multiplier, learning rate and epsilon."""
    if recipe.rates == "uniform":
        return Evidence(
            "none",
            "arXiv 2407.05872",
            "one learning rate for all layers does not stay best as width grows: its optimum was "
            "seen to fall.",
        )
    if recipe.table.rates == "full" == recipe.rates:
        return Evidence(
            "theory",
            "arXiv 2203.03466",
            "holds as width grows at fixed depth, batch and number of steps; what is left at "
            "finite width shrinks with the width of the proxy.",
        )
    return Evidence(
        "empirical",
        "arXiv 2407.05872",
        "these exponents per layer were seen to transfer; they are not those of the feature-"
        "learning limit.",
    )


def of_decay(recipe: Recipe, family: Family) -> Evidence:
    """Evidence for the width rule of decay."""
    if family != "entrywise":
        return Evidence(
            "empirical",
            "",
            "holds what a weight loses per step, learning rate times decay; no width rule of decay "
            "is known for this family.",
        )
    if isinstance(recipe.decay, Calibration):
        return Evidence(
            "empirical",
            "arXiv 2510.15262",
            "holds the top singular values if they go on growing with width as they did over the "
            "proxies, and once runs have settled.",
        )
    return _DECAY.get(str(recipe.decay)) or Evidence(
        "empirical",
        "arXiv 2510.15262",
        f"holds the top singular value if that was measured to grow as sqrt(learning rate / decay) "
        f"width^{(1 + float(recipe.decay)) / 2:g}, and once runs have settled.",
    )


_DECAY: Mapping[str, Evidence] = {
    "sqrt": Evidence(
        "empirical",
        "arXiv 2510.15262",
        "holds the top singular value if that grows as sqrt(learning rate / decay) width^0.75, "
        "which is a fit and may be another power elsewhere, and once runs have settled.",
    ),
    "independent": Evidence(
        "empirical",
        "arXiv 2405.13698, 2510.19093",
        "holds what a weight loses per step, so the share of the run that it averages over.",
    ),
    "constant": Evidence(
        "none",
        "arXiv 2203.03466",
        "the coefficient is left as it is: decay as a regulariser is not known to transfer.",
    ),
}
DEPTH: Mapping[str, Evidence] = {
    "completep": Evidence(
        "theory",
        "arXiv 2505.01618",
        "holds as depth grows for residual blocks that normalise their input; decay is beside the "
        "theory.",
    ),
    "depth_mup": Evidence(
        "theory",
        "arXiv 2309.16620, 2505.01618",
        "holds as depth grows for blocks of a single layer; in deeper ones, such as a "
        "transformer's, each layer learns less and less, and decay is beside the theory.",
    ),
}
HORIZON: Mapping[str, Evidence] = {
    "batch": Evidence(
        "empirical",
        "arXiv 2205.10287, 2006.09092",
        "is theory where gradients are mostly noise, at batches far below the noise scale; above "
        "it the best learning rate stops growing.",
    ),
    "tokens": Evidence(
        "empirical",
        "arXiv 2512.22382",
        "was seen to serve longer runs under the same shape of schedule; no equation says that it "
        "must.",
    ),
}


def of_horizon(recipe: Recipe, axis: Literal["batch", "tokens"]) -> Evidence:
    """Evidence for what is done at another batch size, or number of tokens."""
    if isinstance(recipe.horizon, MeasuredHorizon):
        return Evidence(
            "empirical",
            "",
            "continues the exponents of this ladder, over batches that it covers in multiples of "
            "the best one.",
        )
    return HORIZON[axis]

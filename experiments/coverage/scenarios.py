"""Simulated sweeps with known optima.

The scenarios were fixed before the method that they test. Losses are those of a bowl whose bottom
is known, with the noise of small decoders: 0.003 to 0.004 nats of a trial's own, and 0.01 common to
all trials of a seed. A second set, `loud`, has 0.015 nats of a trial's own, as measured in
`experiments/quickstart`. No shape is the polynomial that the analysis fits, but for `quadratic`.

In those sets all widths of a sweep have bowls of one form. Three further sets are negative controls
of an analysis that reckons with alike widths, and were fixed before that analysis was run: bowls
that differ from width to width, bowls of one curvature that differ in form, and optima that lie off
the line over width.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np

Shape = Callable[[np.ndarray], np.ndarray]


def _linear_exponential(steepness: float) -> Shape:
    return lambda u: 2 * (np.exp(steepness * u) - steepness * u - 1) / steepness**2


def _cliff(u: np.ndarray) -> np.ndarray:
    """Almost a line far below the optimum, divergence 1.7 octaves above it."""
    left = 2 * (np.sqrt(1 + u**2) - 1)
    right = np.where(u > 1.7, np.inf, u**2 * np.exp(0.4 * np.minimum(u, 1.7)))
    return np.where(u < 0, left, right)


SHAPES: Mapping[str, Shape] = {
    "quadratic": np.square,
    "exponential": _linear_exponential(0.5),
    "cubic": lambda u: np.maximum(u, -4.0) ** 2 * (1 + 0.15 * np.maximum(u, -4.0)),
    "cliff": _cliff,
    "reversed": _linear_exponential(-0.4),
    "flat bottom": lambda u: 0.5 * u**2 + 0.08 * u**4,
    "knee": lambda u: u**2 * np.where(u > 0, 2.0, 0.7),
}
"""Losses above the lowest over octaves from the optimum, in units of the curvature.

Training above the best rate grows unstable, so most are steeper there; `reversed` is the control.
"""

SLOPES = (0.0, -0.35, -0.5, -0.75, -1.0)
GRIDS = ((3, 1.0), (4, 1.0), (5, 1.0), (8, 1.0), (8, 0.5))
"""Number of learning rates and their spacing in octaves."""
SEEDS = (1, 2, 3, 5)
WIDTHS = (2, 3, 4, 5)
NOISE = {"quiet": (0.003, 0.004), "loud": (0.015, 0.015)}
COMMON = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Differences:
    """How widths of one sweep differ: standard deviations of normal draws, one for each width.

    Fields:
      curvature: of the log of the curvature.
      skewness: of s, where the bowl is multiplied by exp(s u), with u cut at 3 octaves.
      kink: of k, where the bowl is multiplied by exp(k sign u).
      departure: of the optimum from the line over width, in octaves.
    """

    curvature: float = 0.1
    skewness: float = 0.0
    kink: float = 0.0
    departure: float = 0.0


BOWLS: Mapping[str, Differences] = {
    "alike": Differences(),
    "differ": Differences(curvature=0.4, skewness=0.1, kink=0.1),
    "differ in form": Differences(skewness=0.1, kink=0.1),
    "off the line": Differences(departure=0.1),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """A cell of the design; a sweep of it draws slope, shape, curvature and place at random.

    `decays` is None for a sweep of learning rates at one decay; `bowls` is a name of `BOWLS`.
    """

    noise: str
    seeds: int
    widths: int
    rates: int
    spacing: float
    decays: int | None = None
    bowls: str = "alike"
    repeats: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simulated:
    """One sweep with its truth.

    Fields:
      rates: log2 learning rates by width, shape [rate] each.
      decays: log2 decays, shape [decay], or one value of 0.
      losses: by width, shape [rate, decay, seed] each, +inf where training diverged.
      optima: log2 of the best learning rate, shape [width].
      decay_optima: log2 of the best decay, shape [width].
      slope: of the line through `optima` over log2 width (by least squares where they lie off it),
        or through `decay_optima` where decays are swept.
      regrets: relative, of moving the optimum of the axis in question to the next wider width.
    """

    shape: str
    slope: float
    rates: list[np.ndarray]
    decays: np.ndarray
    losses: list[np.ndarray]
    optima: np.ndarray
    decay_optima: np.ndarray
    regrets: np.ndarray


def scenarios() -> list[Scenario]:
    """Return all cells: curves with little and much noise, planes, and the negative controls."""
    curves = [
        Scenario(
            noise=noise,
            seeds=seeds,
            widths=widths,
            rates=rates,
            spacing=spacing,
            repeats=(60 if (seeds, widths) == (3, 4) else 20) if noise == "quiet" else 8,
        )
        for noise, seeds, widths, (rates, spacing) in itertools.product(NOISE, SEEDS, WIDTHS, GRIDS)
    ]
    planes = [
        Scenario(
            noise="quiet",
            seeds=seeds,
            widths=widths,
            rates=rates,
            spacing=1.0,
            decays=decays,
            repeats=10,
        )
        for seeds, widths, rates, decays in itertools.product(SEEDS, (3, 4), (4, 5), (4, 6))
    ]
    controls = [
        Scenario(
            noise="quiet",
            seeds=seeds,
            widths=widths,
            rates=rates,
            spacing=spacing,
            bowls=bowls,
            repeats=repeats,
        )
        for bowls, repeats in (("differ", 5), ("differ in form", 3), ("off the line", 3))
        for seeds, widths, (rates, spacing) in itertools.product(SEEDS, WIDTHS, GRIDS)
    ]
    return curves + planes + controls


def simulate(scenario: Scenario, repeat: int) -> Simulated:
    """Return one sweep of a scenario; the same arguments give the same sweep."""
    differences = BOWLS[scenario.bowls]
    name = dataclasses.astuple(scenario)[:-2]
    if scenario.bowls != "alike":
        name += (scenario.bowls,)
    entropy = [ord(letter) for letter in repr(name)] + [repeat]
    generator = np.random.default_rng(entropy)
    shape = list(SHAPES)[generator.integers(len(SHAPES))]
    slope = float(generator.choice(SLOPES))
    moved = slope * np.arange(scenario.widths)
    is_plane = scenario.decays is not None
    place = generator.uniform(-0.5, 0.5) * scenario.spacing
    optima = -6 + place + (np.zeros_like(moved) if is_plane else moved)
    # Curvature in nats per squared octave; a decay matters less than a learning rate.
    curvature = np.exp(generator.uniform(np.log(0.03), np.log(0.1)))
    curvatures = curvature * np.exp(generator.normal(0, differences.curvature, scenario.widths))
    noise = generator.uniform(*NOISE[scenario.noise])
    forms = np.zeros((scenario.widths, 2))
    if scenario.bowls != "alike":
        optima = optima + generator.normal(0, differences.departure, scenario.widths)
        spreads = (differences.skewness, differences.kink)
        forms = generator.normal(0, spreads, (scenario.widths, 2))
    rates = _rates(scenario, optima, generator)
    by_seed = generator.normal(0, COMMON, scenario.seeds)
    levels = 3 - 0.12 * np.arange(scenario.widths)
    if is_plane:
        assert scenario.decays is not None
        last = moved[-1] / 2
        decay_optima = -3 + generator.uniform(-0.5, 0.5) + moved - last
        decays = -3.0 + np.arange(scenario.decays) - (scenario.decays - 1) / 2
    else:
        decay_optima, decays = np.zeros(scenario.widths), np.zeros(1)
    losses = []
    for width in range(scenario.widths):
        u = (rates[width] - optima[width])[:, None]
        v = (decays - decay_optima[width])[None, :]
        bowl = curvatures[width] * _bowl(shape, u, v, is_plane) * _factor(u, forms[width])
        own = generator.normal(0, noise, (*bowl.shape, scenario.seeds))
        losses.append(levels[width] + bowl[..., None] + by_seed + own)
    steps = -np.diff(decay_optima if is_plane else optima)
    zero = np.zeros(1)
    regrets = [
        curvatures[width + 1]
        * (_plane_cost(step) if is_plane else SHAPES[shape](zero + step)[0])
        * float(_factor(step, forms[width + 1]))
        / levels[width + 1]
        for width, step in enumerate(steps)
    ]
    return Simulated(
        shape=shape,
        slope=_line_slope(optima) if differences.departure else slope,
        rates=rates,
        decays=decays,
        losses=losses,
        optima=optima,
        decay_optima=decay_optima,
        regrets=np.array(regrets),
    )


def _line_slope(optima: np.ndarray) -> float:
    x = np.arange(len(optima)) - (len(optima) - 1) / 2
    return float(x @ optima / (x @ x))


def _factor(u: np.ndarray, form: np.ndarray) -> np.ndarray:
    """What skewness and kink make of a bowl: its bottom stays, and it rises on both sides."""
    return np.asarray(np.exp(form[0] * np.clip(u, -3.0, 3.0) + form[1] * np.sign(u)))


_TILT = 0.4  # of the plane's valley: the best rate falls by so many octaves per octave of decay


def _bowl(shape: str, u: np.ndarray, v: np.ndarray, is_plane: bool) -> np.ndarray:
    """A bowl over the learning rate, in a plane around the valley's floor."""
    if not is_plane:
        return SHAPES[shape](u + 0 * v)
    return SHAPES[shape](u + _TILT * v) + _plane_cost(v)


def _plane_cost(v: np.ndarray) -> np.ndarray:
    """What a decay costs at its own best learning rate: less than a rate does, and lopsided."""
    return 0.35 * _linear_exponential(0.3)(v)


def _rates(
    scenario: Scenario, optima: np.ndarray, generator: np.random.Generator
) -> list[np.ndarray]:
    """Eight rates of one octave are common to all widths; shorter grids follow the optimum.

    A following grid is off its optimum by up to half a spacing, and from four rates on by more.
    """
    number, spacing = scenario.rates, scenario.spacing
    if (number, spacing) == (8, 1.0):
        middle = np.round(optima.mean())
        return [middle + np.arange(number) - (number - 1) // 2 for _ in optima]
    slack = {3: 0, 4: 0, 5: 1, 8: 2}[number]
    grids = []
    for optimum in optima:
        first = -(number // 2) + generator.integers(-slack, slack + 1)
        if number == 4:
            first += generator.integers(0, 2)
        nearest = np.round(optimum / spacing) * spacing
        grids.append(nearest + spacing * (first + np.arange(number)))
    return grids

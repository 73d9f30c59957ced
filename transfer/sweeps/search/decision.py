"""A search at all widths: the points of the next round, or that it is over.

Narrow widths come first, because they cost least. A width is done when what its best point may
still lose is below the tolerance, learning rates with higher losses enclose the best one that was
tried, and one was tried near the recommended one; the widest proxy has to say the same of what is
lost at the target.
"""

import dataclasses
import math

import numpy as np

from transfer.sweeps.search.box import Box
from transfer.sweeps.search.prior import Prior
from transfer.sweeps.search.proposals import propose, untried
from transfer.sweeps.search.surrogate import Observations, Surrogate

# A width ends when its regret is below the tolerance in this share of the draws.
CONFIDENCE = 0.95
_DRAWS = 512
# A verdict tells a bottom best from losses an octave aside: with its noise of 0.2 times the
# curvature c and its form wrong by a tenth of the height, the information on the bottom,
# (2 c x)^2 / (noise^2 / 3 + (0.1 c x^2)^2), is largest at x = 1.1 for three seeds.
_ASIDE = 1.0
# Octaves within which a learning rate stands for another.
_NEAR = 0.5


@dataclasses.dataclass(frozen=True)
class Stopped:
    """Why a width of a search is done.

    Fields:
      reason: `tolerance`, or `trials` where the most that a width may take, or all points of the
        box, are used up.
      regret: below this share of the loss with 95 % confidence; infinite where all diverged.
    """

    reason: str
    regret: float


@dataclasses.dataclass(frozen=True)
class Search:
    """A search under one recipe; a pure function of trials and its own fields.

    Arguments:
      box, prior: what is searched and what is expected of it.
      widths: of the proxies.
      target: the width that hyperparameters are searched for, the widest proxy or wider.
      seeds: with how many seeds every point is trained.
      population: points of a round.
      tolerance: of the regret, relative to the loss.
      trials: the most that a width may take, seeds counted.
      seed: of the first points and of the draws.
    """

    box: Box
    prior: Prior
    widths: tuple[int, ...]
    target: int
    seeds: int
    population: int
    tolerance: float
    trials: int
    seed: int = 0

    def decide(
        self, width: int, observations: Observations, count: int = 0
    ) -> np.ndarray | Stopped:
        """Return the points (point, axis) of the next round at a width, or why it is done.

        Arguments:
          observations: of this width and the narrower ones.
          count: points to return, by default those of a population; fewer where fewer trials or
            points are left.
        """
        surrogate, regrets = self._assessed(width, observations)
        regret = max(regrets.values())
        missing = self._missing(observations.at(width), surrogate, width)
        if regret <= self.tolerance and missing is None:
            return Stopped("tolerance", regret)
        left = self.trials // self.seeds - self._tried(width, observations)
        count = min(count or self.population, left)
        if surrogate is None:
            points = self._first(width, observations, count)
        else:
            # What is known of the width itself comes before what it says of the target.
            goal = next((goal for goal, found in regrets.items() if found > self.tolerance), width)
            points = propose(surrogate, observations, width, goal, count, self.seeds, first=missing)
        return points if len(points) else Stopped("trials", regret)

    def surrogate(self, observations: Observations) -> Surrogate:
        """Return the posterior given trials."""
        return Surrogate.fit(observations, self.box, self.prior, float(min(self.widths)))

    def _assessed(
        self, width: int, observations: Observations
    ) -> tuple[Surrogate | None, dict[int, float]]:
        """The posterior, and the regret that is not exceeded with 95 % confidence, by goal.

        It is infinite at a width where no trial has completed, which is always tried.
        """
        goals = (width, self.target) if width == max(self.widths) else (width,)
        if not np.isfinite(observations.losses).any():
            return None, dict.fromkeys(goals, math.inf)
        surrogate = self.surrogate(observations)
        if not np.isfinite(observations.at(width).losses).any():
            return surrogate, dict.fromkeys(goals, math.inf)
        return surrogate, {
            goal: float(np.quantile(surrogate.regrets(goal, _DRAWS, self.seed), CONFIDENCE))
            for goal in goals
        }

    def _missing(
        self, tried: Observations, surrogate: Surrogate | None, width: int
    ) -> np.ndarray | None:
        """Which points (point) a verdict on a width lacks, which goes by that width's losses alone.

        A verdict takes no bottom for known that trials do not enclose. So on either side of the
        best learning rate that was tried there is to be one with a loss that is higher by more than
        a standard error; else the points an octave beyond are lacking. Then one is to be tried near
        the recommended learning rate. None where nothing is lacking, or nothing is left but what
        lies outside the box or above what diverged.
        """
        finite = np.isfinite(tried.losses)
        if surrogate is None or not finite.any():
            return None
        rates, means, points = tried.points[finite, 0], tried.means[finite], self.box.points[:, 0]
        best = int(np.argmin(means))
        worse = rates[means > means[best] + surrogate.noise * math.sqrt(2 / self.seeds)]
        recommended = float(surrogate.best(width)[0])
        wanted = []
        if not (worse < rates[best]).any():
            wanted.append(rates.min() - _ASIDE)
        if not (worse > rates[best]).any():
            wanted.append(rates.max() + _ASIDE)
        if not wanted and np.abs(rates - recommended).min() > _NEAR:
            wanted.append(recommended)
        nearest = [points[np.abs(points - each).argmin()] for each in wanted]
        found = np.isin(points, nearest) & untried(self.box.points, tried)
        return found if found.any() else None

    def _first(self, width: int, observations: Observations, count: int) -> np.ndarray:
        """Points that fill the box, further ones for each round in which all diverged."""
        tried = self._tried(width, observations)
        return self.box.first(tried + max(0, count), self.seed)[tried:]

    def _tried(self, width: int, observations: Observations) -> int:
        return len(np.unique(observations.at(width).points, axis=0))

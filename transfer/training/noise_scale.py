"""The gradient noise scale of a run, from the gradients of two halves of each of its batches.

A batch of B examples has the gradient G + n, where the noise n has the variance tr(Sigma) / B. The
gradients g1 and g2 of its halves have independent noise of twice that variance, so that

  E |g1 - g2|^2 / 4 = tr(Sigma) / B,        E |g1 + g2|^2 / 4 = |G|^2 + tr(Sigma) / B,

and the noise scale B_noise = tr(Sigma) / |G|^2 is B times the mean of the first over the mean of
the second less the first. Means are over steps and are taken before dividing, because a ratio of
single steps is far off its mean where |G|^2 is small. Norms are those of `optim.gradient_norm`,
which all forms of a parametrization share.

Source: arXiv 1812.06162, appendix A.
"""

import math

import numpy as np

CURVE = "grad_noise"
"""The curve sqrt(|g1 - g2|^2 / 4), the size of the noise in the gradient of a step."""


def noise_scale(
    grad_norm: np.ndarray, grad_noise: np.ndarray, batch_size: int, share: float = 0.5
) -> float:
    """Return the gradient noise scale of a run, in the unit of its batch size.

    Arguments:
      grad_norm: |g1 + g2| / 2, shape [step].
      grad_noise: |g1 - g2| / 2, shape [step].
      batch_size: windows or images of both halves together.
      share: of the run, from its end, that is read: gradients fall by far over the first steps.

    It is infinite where the mean gradient does not stand out of the noise, and NaN where a step
    was not finite.

    Example:
      >>> grad_norm, grad_noise = np.array([9.0, 5.0]), np.array([9.0, 3.0])
      >>> noise_scale(grad_norm, grad_noise, batch_size=16)  # 16 * 9 / (25 - 9)
      9.0
    """
    read = slice(-max(1, round(share * len(grad_norm))), None)
    noise = float(np.square(grad_noise[read], dtype=np.float64).mean())
    signal = float(np.square(grad_norm[read], dtype=np.float64).mean()) - noise
    if not math.isfinite(signal):
        return math.nan
    return batch_size * noise / signal if signal > 0 else math.inf

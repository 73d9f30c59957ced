"""The spectral initializer: the std that gives a Gaussian matrix a spectral norm."""

import math


def spectral_std(fan_in: int, fan_out: int) -> float:
    """Gaussian std for which the spectral norm is sqrt(fan_out / fan_in).

    std = sqrt(fan_out / fan_in) / (sqrt(fan_in) + sqrt(fan_out)), since a Gaussian matrix of that
    std has spectral norm std * (sqrt(fan_in) + sqrt(fan_out)) up to O(width^-2/3).
    At a fixed aspect ratio it follows width as the Table 3 form of muP does.

    Example:
      >>> spectral_std(256, 256)
      0.03125

    Source: Yang, Simon & Bernstein, arXiv 2310.17813, Condition 1 and section 4.
    """
    return math.sqrt(fan_out / fan_in) / (math.sqrt(fan_in) + math.sqrt(fan_out))

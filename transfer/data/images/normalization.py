"""Pixels of mean 0 and standard deviation 1, channel by channel."""

import dataclasses

import numpy as np

from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True)
class Normalization:
    """x -> (x - mean) / std, with one mean and one std a channel, in units of 8-bit pixels.

    Example:
      >>> pixels = np.array([0, 2], np.uint8).reshape(2, 1, 1, 1)
      >>> Normalization.of(pixels)(pixels).ravel()
      array([-1.,  1.], dtype=float32)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: np.ndarray) -> "Normalization":
        """Measure images, uint8 (..., channels), the same to the last bit on every machine.

        Raises `TransferError` when a channel has the same value everywhere.
        """
        levels = np.arange(256)
        mean, std = [], []
        for channel in np.moveaxis(images, -1, 0):
            # Sums of whole numbers have no rounding, whatever their order.
            counts = np.bincount(channel.ravel(), minlength=256)
            n, total, squares = (int(counts @ levels**k) for k in range(3))
            if n * squares == total**2:
                raise TransferError(
                    f"A channel of the training images is {total // max(n, 1)} everywhere; "
                    "expected images that differ: choose another split."
                )
            mean.append(total / n)
            std.append((n * squares - total**2) ** 0.5 / n)
        return cls(tuple(mean), tuple(std))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Normalize images, uint8 (..., channels), as float32 of the same shape."""
        mean, std = np.array([self.mean, self.std], np.float32)
        return (images.astype(np.float32) - mean) / std

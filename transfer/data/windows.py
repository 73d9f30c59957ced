"""Text as windows of tokens."""

import numpy as np


class Windows:
    """Overlapping windows of `sequence_length + 1` tokens at a stride of `sequence_length`.

        window i = tokens[i * sequence_length : (i + 1) * sequence_length + 1]

    Each window's last token is the next one's first: every token but the first is predicted once.

    Example:
      >>> Windows(np.arange(9), sequence_length=4).take([0, 1])
      array([[0, 1, 2, 3, 4],
             [4, 5, 6, 7, 8]], dtype=int32)
    """

    uniforms = 0
    reading_threads = 0  # a batch takes tens of microseconds

    def __init__(self, tokens: np.ndarray, sequence_length: int):
        self._count = max(0, (len(tokens) - 1) // sequence_length)
        if self._count:
            every = np.lib.stride_tricks.sliding_window_view(tokens, sequence_length + 1)
            self._windows = every[::sequence_length]

    def __len__(self) -> int:
        return self._count

    def take(
        self, indices: np.ndarray | list[int], uniforms: np.ndarray | None = None
    ) -> np.ndarray:
        """Return windows by index, int32 of shape (indices, sequence_length + 1)."""
        del uniforms  # nothing about a window is random
        return self._windows[indices].astype(np.int32)

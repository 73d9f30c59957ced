"""How long processes wait for each other, and what they exit with when it was too long."""

import os

from transfer.errors import TransferError

# What a process exits with when another is gone or stuck: like 75, but that nothing was saved.
ALONE = 76
_VARIABLE = "TRANSFER_PEER_TIMEOUT"
_DEFAULT = 100.0


def silent() -> float:
    """Seconds after which a process that gives no sign of life is taken for dead: 100.

    The environment's `TRANSFER_PEER_TIMEOUT` says otherwise.
    """
    text = os.environ.get(_VARIABLE, "")
    try:
        seconds = float(text or _DEFAULT)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < float("inf"):
        raise TransferError(
            f'{_VARIABLE} is "{text}"; expected after how many seconds, at least 1, a process that '
            "gives no sign of life is taken for dead."
        )
    return seconds


def stuck() -> float:
    """Seconds after which one that lives but does not do its part is given up: 6 times as many."""
    return 6 * silent()

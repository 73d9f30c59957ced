"""Trains into a folder of checkpoints, slowly enough to be killed: `-m training.killed DIR`."""

import sys
import time

from transfer.training import Checkpoints

from .tiny import train

CHECKPOINT_EVERY = 3


def main(folder: str) -> None:
    with Checkpoints(folder) as checkpoints:
        train(
            checkpoints=checkpoints,
            checkpoint_every=CHECKPOINT_EVERY,
            progress=lambda fraction, loss: time.sleep(1),
        )


if __name__ == "__main__":
    main(sys.argv[1])

"""Training steps of torch for a worker; run as `python -m benchmarks.peers.timed_steps`.

With `--how=products`, a step is a product of two matrices.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import setting, workers
from benchmarks.peers import training
from benchmarks.peers.decoder import Decoder
from benchmarks.peers.mup_training import mup_decoder, mup_optimizer

# A run so long that the learning rate stays what it is.
STEPS = 1_000_000


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--width", type=int)
    arguments.add_argument("--threads", type=int, required=True)
    arguments.add_argument("--batches")
    arguments.add_argument("--how", choices=("compiled", "eager", "mup", "products"), required=True)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    if given.how == "products":
        workers.serve(_products())
        return
    if given.how == "mup":
        model = mup_decoder(given.width)
        optimizer = mup_optimizer(model, setting.LEARNING_RATE)
    else:
        model = Decoder(given.width)
        optimizer = training.start(model, setting.LEARNING_RATE)
    loss = model if given.how == "eager" else torch.compile(model)
    trained = training.Training(model, loss, optimizer, STEPS)
    batches = torch.from_numpy(np.load(given.batches)["train"]).long()
    taken = 0

    def run(steps: int) -> None:
        nonlocal taken
        trained.run(batches[(taken + k) % len(batches)] for k in range(steps))
        taken += steps

    workers.serve(run)


def _products() -> Callable[[int], None]:
    left, right = torch.randn(2, setting.PRODUCT, setting.PRODUCT).unbind()

    def run(times: int) -> None:
        for _ in range(times):
            left @ right

    return run


if __name__ == "__main__":
    main()

"""Training steps of this project for a worker; run as `python -m benchmarks.timed_steps`.

Trials lie side by side on the devices, one for each core as on the command line; a single trial
shares its batch among them. With `--products`, a step is a product of two matrices.
"""

import argparse
from collections.abc import Callable

import jax
import numpy as np

from benchmarks import setting, workers
from benchmarks.project import prepare, transformer
from transfer.cli import platform


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--width", type=int)
    arguments.add_argument("--trials", type=int)
    arguments.add_argument("--batches")
    arguments.add_argument("--products", action="store_true")
    given = arguments.parse_args()
    platform.prepare()
    if given.products:
        workers.serve(_products())
        return
    batches = np.load(given.batches)["train"]
    trained = prepare(transformer(given.width), given.trials, batches=batches)
    workers.serve(trained.train)


def _products() -> Callable[[int], None]:
    shape = (setting.PRODUCT, setting.PRODUCT)
    left, right = (jax.random.normal(jax.random.key(k), shape) for k in (0, 1))
    product = jax.jit(jax.numpy.matmul)

    def run(count: int) -> None:
        for _ in range(count):
            product(left, right).block_until_ready()

    return run


if __name__ == "__main__":
    main()

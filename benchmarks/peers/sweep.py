"""A sweep of learning rates in torch, as one command: `python -m benchmarks.peers.sweep`.

Prints the held-out loss of each trial. All trials of a width train one model, whose weights are
drawn anew, so that it is compiled once; a process per trial is this command with one learning rate.
"""

import argparse
import json

import numpy as np
import torch

from benchmarks.peers import training
from benchmarks.peers.decoder import Decoder


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--widths", type=int, nargs="+", required=True)
    arguments.add_argument("--recipes", nargs="+", required=True, choices=training.RECIPES)
    arguments.add_argument("--learning_rates", type=float, nargs="+", required=True)
    arguments.add_argument("--batches", required=True)
    arguments.add_argument("--how", choices=("compiled", "eager"), required=True)
    arguments.add_argument("--threads", type=int, required=True)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    stored = np.load(given.batches)
    batches, held_out = (torch.from_numpy(stored[name]).long() for name in ("train", "held_out"))
    for width in given.widths:
        model = Decoder(width)
        loss = torch.compile(model) if given.how == "compiled" else model
        for recipe in given.recipes:
            for rate in given.learning_rates:
                optimizer = training.start(model, rate, recipe)
                training.Training(model, loss, optimizer).run(batches)
                trial = {"width": width, "recipe": recipe, "learning_rate": rate}
                print(json.dumps(trial | {"held_out": _held_out(model, held_out)}), flush=True)


@torch.no_grad()
def _held_out(model: Decoder, batches: torch.Tensor) -> float:
    # Not compiled, because 16 batches take less than compiling the model without its gradients.
    return torch.stack([model(tokens) for tokens in batches]).mean().item()


if __name__ == "__main__":
    main()

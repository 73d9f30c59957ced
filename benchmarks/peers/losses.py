"""Losses of a few steps from given weights, to compare with this library's, number by number.

Run as `python -m benchmarks.peers.losses`; prints them as JSON.
"""

import argparse
import json

import numpy as np
import torch

from benchmarks import setting
from benchmarks.peers import training
from benchmarks.peers.decoder import Decoder
from benchmarks.peers.mup_training import mup_decoder, mup_optimizer


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--width", type=int, required=True)
    arguments.add_argument("--weights", required=True)
    arguments.add_argument("--batches", required=True)
    arguments.add_argument("--recipe", choices=(*training.RECIPES, "mup"), required=True)
    arguments.add_argument("--learning_rate", type=float, default=setting.LEARNING_RATE)
    given = arguments.parse_args()
    if given.recipe == "mup":
        model = mup_decoder(given.width)
        optimizer = mup_optimizer(model, given.learning_rate)
    else:
        model = Decoder(given.width)
        optimizer = training.start(model, given.learning_rate, given.recipe)
    stored = np.load(given.weights)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(stored[name]))
    batches = torch.from_numpy(np.load(given.batches)["train"]).long()
    print(json.dumps(training.Training(model, model, optimizer).run(batches)))


if __name__ == "__main__":
    main()

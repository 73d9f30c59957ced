"""Decay and spectrum on runs long enough to have settled: a good hour on 2 CPU cores.

Learning rate and decay are swept together, with decay ~ sqrt(width) against a constant one. The
rule predicts that the best decay of `mup+sqrt` stays and that of `mup+constant` rises as
width^(1/2), and that sigma_1 grows as width^(1/4) under `mup+constant` only. Our run
(`experiments/campaign`) found the difference between the slopes of sigma_1. It leaves decay
undecided: the best coefficient moves as width^-0.37 [-0.63, -0.14] under `mup+sqrt` and as
width^+0.09 [-0.18, +0.34] under `mup+constant`, and the best runs had not settled.
"""

from transfer.config import template


def get_config():
    config = template()
    config.name = "campaign"
    config.base_width = 16
    config.model.width = 128
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 64
    config.data.batch_size = 16
    config.training.steps = 1500
    config.training.warmup = 100
    config.training.log_every = 100
    config.sweep.widths = (16, 32, 64)
    config.sweep.recipes = ("mup+constant", "mup+sqrt")
    config.sweep.seeds = (0, 1, 2)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-6, -2))
    # The best decay is among the first ones; only with the last ones does a run settle.
    config.sweep.space.weight_decay = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    return config

"""A ladder: the best learning rate and decay over width, batch size and number of tokens.

Sweeps `mup+sqrt` at 2 widths x 5 batch sizes x 4 numbers of tokens on the Python standard
library's source; every rung has 7 learning rates x 3 decays and one seed. What came out is in
`experiments/ladder`.
"""

from transfer.config import template


def get_config():
    config = template()
    config.name = "ladder"
    config.base_width = 16
    config.model.width = 64  # the target
    config.model.layers = 1
    config.model.head_dim = 8
    config.model.dtype = "float32"
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 32
    config.data.batch_size = 8
    config.training.steps = 512  # of 256 tokens: 2^17, one of sweep.tokens
    config.training.warmup = 51  # a tenth of every run
    config.training.log_every = 256
    config.training.spectrum_every = 0
    config.training.noise_scale = True
    config.sweep.widths = (16, 32)
    config.sweep.batch_sizes = (2, 4, 8, 16, 32)
    config.sweep.tokens = tuple(2**k for k in range(14, 18))
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0,)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-8, -1))
    config.sweep.space.weight_decay = (0.1, 0.4, 1.6)
    return config

"""A LLaMA-style decoder of 7 billion parameters, for a pod: `transfer plan` says what it takes.

One sequence of 2048 tokens after another costs what it costs: on 64 chips of v5p a step takes two
sequences a chip, so that `--topology=v5p:4x4x4 --mesh.fsdp=64` is where to begin.
"""

from transfer.config import template


def get_config():
    config = template()
    config.name = "transformer_7b"
    config.base_width = 256
    config.model.width = 4096
    config.model.layers = 32
    config.model.vocabulary = 32768
    config.model.head_dim = 128
    config.model.qk_norm = True
    config.model.dtype = "bfloat16"
    config.model.rematerialise = True
    config.recipe.name = "mup+sqrt"
    config.hyperparameters.learning_rate = 2.0**-7
    config.hyperparameters.weight_decay = 0.1
    config.data.sequence_length = 2048
    config.data.batch_size = 128
    config.data.eval_sequences = 256
    config.training.tokens_per_parameter = 20.0
    config.training.warmup = 2000
    config.training.checkpoint_every = 1000
    return config

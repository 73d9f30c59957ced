"""What is tuned at a small width and moved to a large one."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The transferable hyperparameters of a run, as they read at the base width.

    `learning_rate` is that of matrix-like parameters (and, times 1, of vectors); `weight_decay` is
    optax's decoupled coefficient, a parameter losing lr * decay per step. The rest are multipliers
    of what the recipe prescribes: learning rates by role, the init std of all random weights, and
    the outputs of embedding, readout and attention logits.

    Example:
      >>> Hyperparameters(learning_rate=2**-6).readout_output
      1.0
    """

    learning_rate: float
    weight_decay: float = 0.0
    input_learning_rate: float = 1.0
    readout_learning_rate: float = 1.0
    init_scale: float = 1.0
    embedding_output: float = 1.0
    readout_output: float = 1.0
    attention_logits: float = 1.0


NAMES = tuple(field.name for field in dataclasses.fields(Hyperparameters))
MULTIPLIERS = NAMES[2:]

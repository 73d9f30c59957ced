"""The rows and columns of a run directory's tables."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

Status = Literal["completed", "diverged", "failed", "stopped"]
Origin = Literal["sweep", "predicted", "average", "branch"]
# What the trials of a sweep may be compared by, in words.
OBJECTIVES: Mapping[str, str] = {
    "eval_loss": "held-out loss",
    "loss": "training loss over the last tenth",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One training run: its resolved settings, its name (a hash of them) and its outcome.

    | columns                        | meaning                                                    |
    |--------------------------------|------------------------------------------------------------|
    | trial, group, origin           | the name, its group, and who asked: a sweep or a prediction,|
    |                                | or how it was read off its trunk: an average or a branch   |
    | width, base_width, layers,     | the shape; `layers` counts stacked layers, 1 without a     |
    | batch_size                     | stack, and `batch_size` windows or images                  |
    | recipe                         | the recipe's name, and then its parts:                     |
    | parametrization, rates,        | the table and its learning-rate exponents, and the rules, by|
    | decay_rule, depth_rule,        | name, of decay, of the multiplier of residual branches, of |
    | horizon_rule, clipping         | batch size and duration, and of gradient clipping          |
    | optimizer                      | its name in `training.optimizer`                           |
    | learning_rate ...              | the hyperparameters, as they read at the base width        |
    | attention_logits               |                                                            |
    | seed, steps, tokens            | `tokens` is the run's horizon; a labeled image is one token|
    | trunk                          | the constant-rate trial that this one is read off, or empty|
    | parameters, flops              | `flops`: 3 times a forward pass's products, for every step,|
    |                                | and of a trunk for every step of its branches too          |
    | status                         | completed, diverged, failed, or stopped early by the search|
    | loss, eval_loss, eval_accuracy | nats per token: training loss over the last tenth of the   |
    |                                | steps, held-out loss after the last; NaN unless completed  |
    | objective                      | which of the two losses the sweep compares                 |
    | decay_times                    | sum_t lr_t * decay of the hidden matrices                  |
    | wall_seconds, compile_seconds  | the trial's share of its group's wall time, and of that the|
    |                                | time until all programs were compiled; NaN where unknown   |
    | execution                      | how the group's trials shared the devices; or the trial that|
    |                                | this one is the same run as, and was not trained beside    |
    | noise_scale                    | the gradient noise scale over the second half of the run,  |
    |                                | in the unit of batch_size; null where it was not measured, |
    |                                | infinite where the gradient is lost in the noise           |

    In results from elsewhere (`transfer.sweeps.results`) what is not told is 0, empty or NaN, and a
    `base_width` of 0 says that learning rates are as the table has them.
    """

    trial: str
    group: str
    origin: Origin
    width: int
    base_width: int
    layers: int
    batch_size: int
    recipe: str
    parametrization: str
    rates: str
    decay_rule: str
    depth_rule: str
    horizon_rule: str
    clipping: str
    optimizer: str
    learning_rate: float
    weight_decay: float
    input_learning_rate: float
    readout_learning_rate: float
    init_scale: float
    embedding_output: float
    readout_output: float
    attention_logits: float
    seed: int
    steps: int
    tokens: int
    trunk: str
    parameters: int
    flops: float
    status: Status
    loss: float
    eval_loss: float
    eval_accuracy: float
    objective: str
    decay_times: float
    wall_seconds: float
    compile_seconds: float
    execution: str
    noise_scale: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end, if only by diverging; others say nothing of a whole run."""
        return self.status in ("completed", "diverged")

    @property
    def objective_value(self) -> float:
        """The loss that the sweep compares; infinite unless the trial completed."""
        loss: float = getattr(self, self.objective)
        return loss if self.status == "completed" and math.isfinite(loss) else math.inf


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), float | None: pa.float64()}
TRIALS_SCHEMA = pa.schema(
    [
        (field.name, _ARROW.get(field.type, pa.string()))  # type: ignore[arg-type]
        for field in dataclasses.fields(TrialResult)
    ]
)
ADDED_COLUMNS = ("noise_scale",)
"""Columns that tables of earlier versions lack, and that are null there."""

METRICS_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("step", pa.int64()),
        ("loss", pa.float64()),
        ("grad_norm", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)
SPECTRUM_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("step", pa.int64()),
        ("parameter", pa.string()),
        ("layer", pa.int64()),
        ("rank", pa.int64()),
        ("singular_value", pa.float64()),
        ("bound", pa.float64()),
    ]
)
# Of one hidden matrix: what it does to the size of its inputs (`transfer.probes.gain`), and how its
# effective weights and their last step compare with the equilibrium of AdamW at that step's rate.
GAINS_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("step", pa.int64()),
        ("parameter", pa.string()),
        ("layer", pa.int64()),
        ("gain", pa.float64()),
        ("alignment", pa.float64()),
        ("stable_rank", pa.float64()),
        ("rms", pa.float64()),
        ("equilibrium_rms", pa.float64()),
        ("update", pa.float64()),
    ]
)

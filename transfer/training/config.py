"""How a population is trained."""

import dataclasses
from typing import Any, ClassVar

import optax

from transfer import optim
from transfer.errors import TransferError, nearest
from transfer.optim import OPTIMIZERS
from transfer.scaling import Family, Horizon
from transfer.training.horizon_settings import require_horizons
from transfer.training.noise_scale import CURVE

EXECUTIONS = ("vectorized", "in_turn")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length, schedule and optimizer of a run, all but what is tuned.

    The length is `steps`, or `tokens_per_parameter` times the number of parameters where that is
    above 0. A step takes its batch in `microbatches`, one after another, whose mean gradient is
    that of the whole: so many times less memory for activations, but batch normalization then goes
    by the statistics of each part. `optimizer` is one of `OPTIMIZERS`, whose settings are `b1`,
    `b2` and `epsilon` for Adam, its kin and the AdamW beside Muon (Lion takes the first two),
    `momentum` and `nesterov` for SGD. `clip` of 0 means no clipping. `log_every` steps run between
    two words of progress; `checkpoint_every` of 0 keeps that of the last step alone, and of more
    steps the last `checkpoints_kept` are kept; a run may go on under others. `tensorboard` writes
    events while a run trains, a folder per trial; all that they hold is in the run's tables in the
    end, and a sweep has many trials, so it is off unless asked for. `execution` is `vectorized` or
    `in_turn`, or empty for what the hardware does faster: accelerators vectorize the trials of a
    device, CPUs run them one after another inside the same compiled program.

    Singular values and gains are measured before the first step, every `spectrum_every` steps and
    after the last one; 0 leaves the last alone. On 2 CPU cores that took 0.2 to 0.3 of a step at
    widths 64 to 256 (`benchmarks/measurement.py`): every 50 steps, half a percent of training.
    Above width 64 the first and the last take four times as long, and the program takes about as
    long to compile as that of a step.

    `noise_scale` takes the gradients of two halves of every batch, one after the other, whose
    difference gives the gradient noise scale (`transfer.training.noise_scale`). It trains the same
    but for rounding and batch normalization, by as many operations.

    `horizons` are numbers of steps of a run at a constant rate, a trunk. At each of them the result
    of a run of that length is read off it (`transfer.training.horizons`): of the average of its
    weights, whose mean age is `average_share` of the steps before, and, where `branch_steps` is
    above 0, of a copy of the trunk whose rate falls linearly to 0 over so many steps and which ends
    at the horizon.
    """

    # What names a trial only where it is asked for.
    OPTIONAL: ClassVar[tuple[str, ...]] = ("noise_scale",)
    # What is kept of a run, not what the run is.
    KEEPING: ClassVar[tuple[str, ...]] = ("checkpoint_every", "checkpoints_kept")
    # What is read off a run of constant rate, and says nothing of runs without horizons.
    OF_HORIZONS: ClassVar[tuple[str, ...]] = ("horizons", "average_share", "branch_steps")

    steps: int = 200
    microbatches: int = 1
    tokens_per_parameter: float = 0.0
    schedule: str = "cosine"
    warmup: int = 20
    decay_steps: int = 0
    optimizer: str = "adamw"
    b1: float = 0.9
    b2: float = 0.95
    epsilon: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False
    muon_momentum: float = 0.95
    clip: float = 1.0
    log_every: int = 50
    checkpoint_every: int = 0
    checkpoints_kept: int = 2
    spectrum_every: int = 50
    noise_scale: bool = False
    tensorboard: bool = False
    execution: str = ""
    horizons: tuple[int, ...] = ()
    average_share: float = 0.1
    branch_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "microbatches", "log_every", "checkpoints_kept"):
            if getattr(self, name) < 1:
                raise TransferError(
                    f"training.{name} is {getattr(self, name)}; expected a whole number of at "
                    "least 1."
                )
        for name in ("tokens_per_parameter", "clip", "checkpoint_every", "spectrum_every"):
            if getattr(self, name) < 0:
                raise TransferError(
                    f"training.{name} is {getattr(self, name)}; expected at least 0, which turns "
                    "it off."
                )
        for name, options in (
            ("optimizer", OPTIMIZERS),
            ("schedule", optim.SCHEDULES),
            ("execution", ("", *EXECUTIONS)),
        ):
            if getattr(self, name) not in options:
                raise TransferError(
                    f'training.{name} "{getattr(self, name)}" is unknown; expected one of '
                    f"{', '.join(filter(None, options))}{nearest(getattr(self, name), options)}."
                )
        require_horizons(
            self.horizons,
            self.average_share,
            self.branch_steps,
            steps=self.steps,
            warmup=self.warmup,
            schedule=self.schedule,
            tokens_per_parameter=self.tokens_per_parameter,
        )

    @property
    def all_branch_steps(self) -> int:
        """Steps that the branches of one run take together.

        Example:
          >>> training = TrainingConfig(schedule="constant", horizons=(100, 200), branch_steps=40)
          >>> training.all_branch_steps
          80
        """
        return len(self.horizons) * self.branch_steps

    @property
    def curves(self) -> tuple[str, ...]:
        """What is recorded of every step."""
        return ("loss", "grad_norm", *([CURVE] if self.noise_scale else []))

    def measured_at(self, steps: int) -> tuple[int, ...]:
        """After which of a run's steps it is measured.

        Example:
          >>> TrainingConfig(spectrum_every=50).measured_at(120)
          (0, 50, 100, 120)
          >>> TrainingConfig(spectrum_every=0).measured_at(120)
          (120,)
        """
        before = range(0, steps, self.spectrum_every) if self.spectrum_every else ()
        return (*before, steps)

    @property
    def family(self) -> Family:
        """Whose column of a parametrization table the optimizer reads."""
        return OPTIMIZERS[self.optimizer].family

    def make_optimizer(
        self, learning_rate: optim.LearningRate, weight_decay: optim.Scalar = 0.0, **shared: Any
    ) -> optax.GradientTransformation:
        """The configured optimizer.

        `shared` is what all take, layout, recipe, clip and knobs, and those of its own settings
        that replace the configured ones.
        """
        optimizer = OPTIMIZERS[self.optimizer]
        settings = {name: getattr(self, field) for name, field in optimizer.settings.items()}
        return optimizer.make(learning_rate, weight_decay, **(settings | shared))

    def settings_at(self, horizon: Horizon) -> dict[str, float]:
        """The optimizer's own settings that follow batch size and duration, by its names for them.

        Raises `TransferError` as `at` does.

        Example:
          >>> TrainingConfig(b2=0.95).settings_at(Horizon(averaging=4.0))["b2"].__round__(6)
          0.8
        """
        training = self.at(horizon)
        return {
            name: getattr(training, field)
            for name, field in OPTIMIZERS[self.optimizer].settings.items()
            if self.family == "entrywise"
        }

    def at(self, horizon: Horizon) -> "TrainingConfig":
        """The same optimizer with the betas and the epsilon of another batch size and duration.

        Raises `TransferError` when a beta cannot follow, and for an optimizer of which the rule
        does not speak.
        """
        moved = (horizon.epsilon, horizon.averaging) != (1.0, 1.0)
        if moved and not OPTIMIZERS[self.optimizer].follows_horizon:
            raise TransferError(
                "The rule for batch size and duration is derived for averages of squared "
                f"gradients, which {self.optimizer} does not divide by; expected AdamW or SGD, or "
                "the base run's own batch size and number of tokens."
            )
        if self.family != "entrywise":
            return self
        return dataclasses.replace(
            self,
            b1=horizon.beta(self.b1),
            b2=horizon.beta(self.b2),
            epsilon=self.epsilon * horizon.epsilon,
        )

    def at_once(self, batch_size: int) -> int:
        """How many examples pass through the model at once; raises `TransferError` if not all.

        Example:
          >>> TrainingConfig(microbatches=4).at_once(32)
          8
        """
        parts = self.microbatches * (2 if self.noise_scale else 1)
        if batch_size % parts and self.noise_scale:
            raise TransferError(
                f"training.noise_scale takes each of {self.microbatches} microbatches in two "
                f"halves, and a batch of {batch_size} has no {parts} equal parts; expected a "
                f"multiple of {parts}."
            )
        if batch_size % parts:
            raise TransferError(
                f"training.microbatches is {self.microbatches}, which does not divide the batch "
                f"size {batch_size}; expected a divisor."
            )
        return batch_size // self.microbatches

    def resolved_steps(self, parameters: int, tokens_per_step: int) -> int:
        """Number of steps for a model of this many parameters.

        Example:
          >>> TrainingConfig(tokens_per_parameter=20.0).resolved_steps(1_000_000, 10_000)
          2000
        """
        if not self.tokens_per_parameter:
            return self.steps
        return max(1, round(self.tokens_per_parameter * parameters / tokens_per_step))

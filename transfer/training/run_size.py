"""What a run has and takes, without training it."""

import jax

from transfer.models import count, parameter_count
from transfer.training.build import batch_shapes
from transfer.training.group import TrialGroup
from transfer.training.task import task_of


def run_size(group: TrialGroup) -> tuple[int, float]:
    """Return the parameters of a group's model and the floating-point operations of one run.

    A step counts as 3 forward passes, whose matrix products and convolutions are counted.

    Example:
      >>> from transfer.config import read
      >>> run_size(read({"training": {"steps": 10}, "model": {"width": 64}}).single_run())[0]
      192960
    """
    inputs, _ = jax.eval_shape(task_of(group.data).split, batch_shapes(group.data))
    flops = 3.0 * count(group.model.plain(), inputs).flops * group.shape.steps
    return parameter_count(group.layout.parameters), flops

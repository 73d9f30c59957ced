"""A decoder and a residual network whose populations any mesh of eight devices can train."""

import dataclasses
from typing import Any
from unittest import mock

import jax
import numpy as np

from transfer import sharding
from transfer.models import ResNetConfig, TransformerConfig, model_layout
from transfer.probes import tracking
from transfer.scaling import Hyperparameters
from transfer.sharding import MeshConfig, make_mesh
from transfer.training import Population, State, TrainingConfig, TrialInputs
from transfer.training.task import CLASSIFICATION, NEXT_TOKEN

from . import tiny

STEPS, BATCH, TIME = 20, 8, 8
TRANSFORMER = TransformerConfig(width=16, layers=2, head_dim=4, vocabulary=12, dtype="float32")
# Whose matrices are too large to be decomposed.
WIDE = dataclasses.replace(TRANSFORMER, width=128)
RESNET = ResNetConfig(width=8, stages=(1,), image_channels=3, classes=4, dtype="float32")
# Below the best rates, so that training does not amplify rounding. Two seeds: two streams of data.
SETTINGS = tuple(
    (Hyperparameters(learning_rate=2.0 ** -(7 + k % 3), weight_decay=0.1), 3 * (k % 2))
    for k in range(8)
)
MESHES = {
    "trial 8": MeshConfig(trial=8),
    "data 8": MeshConfig(data=8, fsdp=1),
    "fsdp 8": MeshConfig(fsdp=8),
    "tensor 4 x data 2": MeshConfig(tensor=4, data=2),
    "trial 2 x fsdp 2 x tensor 2": MeshConfig(trial=2, fsdp=2, tensor=2),
}


def population(
    model: Any, mesh: MeshConfig, trials: int, execution: str = "in_turn", **changes: Any
) -> Population:
    layout = model_layout(model, 8)
    config = TrainingConfig(**({"steps": STEPS, "warmup": 4, "epsilon": 1e-4} | changes))
    devices = jax.devices() if mesh != MeshConfig() else jax.devices()[:1]
    return Population(
        model,
        layout,
        config,
        STEPS,
        NEXT_TOKEN if model.kind == "transformer" else CLASSIFICATION,
        make_mesh(
            mesh,
            trials=trials,
            batch_size=config.at_once(BATCH),
            parameters=layout.parameters,
            devices=devices,
        ),
        execution,
    )


def inputs(made: Population, trials: int) -> TrialInputs:
    """The first of the settings, stacked, where the population takes them."""
    specs = tiny.specs(SETTINGS[:trials])
    stacked, _ = TrialInputs.of(specs, made.layout, made.training)
    return jax.device_put(stacked, sharding.per_trial(made.mesh))


def batches(model: Any) -> Any:
    """(steps, seeds, batch, ...): random tokens, or images whose size depends on the example."""
    rng = np.random.default_rng(0)
    if model.kind == "transformer":
        shape = (STEPS, 2, BATCH, TIME + 1)
        return rng.integers(0, model.vocabulary, shape).astype(np.int32)
    label = rng.integers(0, model.classes, (STEPS, 2, BATCH))
    image = rng.standard_normal((STEPS, 2, BATCH, 4, 4, 3)) + label[..., None, None, None]
    scale = rng.uniform(0.5, 2.0, (STEPS, 2, BATCH, 1, 1, 1))
    return {"image": (scale * image).astype(np.float32), "label": label.astype(np.int32)}


@dataclasses.dataclass(frozen=True)
class Trained:
    """What was trained, by which program, and (trial, step) its losses and gradient norms."""

    program: Any
    state: State
    measured: dict[str, np.ndarray]


def initial(model: Any, trials: int, **changes: Any) -> State:
    """The state of so many trials on one device."""
    made = population(model, MeshConfig(), trials, **changes)
    return jax.jit(made._init)(inputs(made, trials))


def train(
    model: Any,
    mesh: MeshConfig,
    trials: int,
    start: State,
    execution: str = "in_turn",
    **changes: Any,
) -> Trained:
    """Train the first of the settings from the first of the trials of a state."""
    made = population(model, mesh, trials, execution, **changes)
    settings = inputs(made, trials)
    data = jax.device_put(batches(model), sharding.batches(made.mesh))
    if trials == 1:  # of one seed, whose data are the first
        data = jax.tree.map(lambda leaf: leaf[:, :1], data)
    program = made.lower_run(settings, jax.tree.map(_shape, data)).compile()
    lies = jax.tree.map(lambda leaf: leaf.sharding, made._shapes(settings))
    state = jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf)[:trials], start), lies)
    everywhere = jax.sharding.NamedSharding(made.mesh, jax.sharding.PartitionSpec())
    state, measured = program(state, settings, data, jax.device_put(np.int32(STEPS), everywhere))
    return Trained(program, state, {name: np.asarray(each) for name, each in measured.items()})


def measuring(mesh: MeshConfig) -> Any:
    """Compile the program that measures a trial of `WIDE`."""
    made = population(WIDE, mesh, 1)
    settings = inputs(made, 1)
    state = made._shapes(settings)
    data = jax.device_put(batches(WIDE)[:2, 0], sharding.eval_batches(made.mesh))
    hidden = made._hidden(state.parameters)
    return jax.jit(made._measure).lower(state, settings, hidden, _shape(data)).compile()


def evaluating(model: Any, **changes: Any) -> Any:
    """Compile the program that scores a trial on held-out batches."""
    made = population(model, MeshConfig(), 1, **changes)
    settings = inputs(made, 1)
    data = jax.tree.map(lambda leaf: leaf[:2, 0], batches(model))
    data = jax.device_put(data, sharding.eval_batches(made.mesh))
    shapes = jax.tree.map(_shape, data)
    return jax.jit(made._evaluate).lower(made._shapes(settings), settings, shapes).compile()


def whole_run(mesh: MeshConfig) -> dict[str, np.ndarray]:
    """Train two trials of `Tiny` from data to measurements; what was measured, by name."""
    with mock.patch.object(tracking, "EXACT_UP_TO", 8):  # or its matrix were not followed
        outcome = tiny.train(SETTINGS[:2], mesh=mesh, spectrum_every=10)
    measured = {name: each["hidden.kernel"] for name, each in outcome.measured.items()}
    held_out = {f"held-out {name}": values for name, values in outcome.held_out.items()}
    return {**outcome.history, **held_out, **measured}


def _shape(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

"""Exported models in `transformers`: equal logits, and equal training with exported groups.

They run where the extra `bench` is installed, with `--full`.
"""

import fnmatch

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transfer.config import read
from transfer.models import forward_pass, initialize
from transfer.models.export import export_llama
from transfer.optim import adamw
from transfer.sweeps import optimizer_groups

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.full

STEPS = 20


@pytest.fixture(scope="module")
def trial():
    return read(
        {
            "base_width": 16,
            "model": {
                "width": 64,
                "layers": 2,
                "head_dim": 16,
                "vocabulary": 31,
                "dtype": "float32",
            },
            "recipe": {"name": "mup_table3+sqrt"},
            "hyperparameters": {"learning_rate": 2.0**-6, "weight_decay": 0.1},
            "training": {"clip": 0.0},
        }
    ).single_run()


@pytest.fixture(scope="module")
def exported(trial, tmp_path_factory):
    spec = trial.trials[0]
    parameters, multipliers = initialize(
        trial.model, trial.layout, spec.recipe, spec.hyperparameters, jax.random.key(0)
    )
    folder = export_llama(
        trial.model, parameters, multipliers, tmp_path_factory.mktemp("llama") / "x"
    )
    return parameters, multipliers, str(folder)


@pytest.fixture(scope="module")
def batches():
    return np.random.default_rng(0).integers(0, 31, (STEPS, 4, 17))


def test_logits_are_equal(trial, exported, batches):
    parameters, multipliers, folder = exported
    ours = np.asarray(forward_pass(trial.model)(parameters, multipliers, batches[0]))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        theirs = model(torch.tensor(batches[0])).logits.numpy()
    # Both in float32, in other orders of summation.
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(ours).max()


def test_training_with_exported_groups_is_equal(trial, exported, batches):
    parameters, multipliers, folder = exported
    spec = trial.trials[0]
    apply = forward_pass(trial.model)
    tx = adamw(
        spec.hyperparameters.learning_rate,
        spec.hyperparameters.weight_decay,
        layout=trial.layout.parameters,
        recipe=spec.recipe,
    )

    def loss(parameters, windows):
        logits = apply(parameters, multipliers, windows[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:]).mean()

    @jax.jit
    def step(parameters, state, windows):
        value, gradient = jax.value_and_grad(loss)(parameters, windows)
        updates, state = tx.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    state, ours = tx.init(parameters), []
    for windows in batches:
        parameters, state, value = step(parameters, state, jnp.asarray(windows))
        ours.append(float(value))

    found = optimizer_groups(trial, "torch")
    theirs = losses_in_torch(folder, found.groups, found.settings, batches)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)
    # The control: one group with the same learning rate and decay is another run.
    whole = {"names": ["*"], "lr": 2.0**-6, "weight_decay": 0.1, "eps": 1e-8}
    plain = losses_in_torch(folder, [whole], found.settings, batches)
    assert max(abs(np.array(plain) / ours - 1)) > 1e-3


def losses_in_torch(folder, groups, settings, batches):
    """The losses of AdamW on an exported model, with what `groups` say by the patterns of names."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    own = [
        {
            "params": [
                parameter
                for name, parameter in model.named_parameters()
                if any(fnmatch.fnmatch(name, pattern) for pattern in group["names"])
            ],
            **{key: group[key] for key in ("lr", "weight_decay", "eps")},
        }
        for group in groups
    ]
    assert sum(len(group["params"]) for group in own) == len(list(model.parameters()))
    optimizer = torch.optim.AdamW(own, betas=(settings["b1"], settings["b2"]))
    losses = []
    for windows in torch.tensor(batches):
        logits = model(windows[:, :-1]).logits
        value = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses

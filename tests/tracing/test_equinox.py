"""The modules of equinox itself, whose trees hold functions, flags and numbers beside arrays."""

import jax
import pytest

from .families import FEATURES, OUTPUTS, ROWS, SEQUENCES, Family
from .trained_family import require_roles, require_training

equinox = pytest.importorskip("equinox", reason="equinox is not installed: it is of the extra dev")
pytestmark = pytest.mark.full


def mlp(n, seed):
    return equinox.nn.MLP(FEATURES, OUTPUTS, n, 2, key=jax.random.key(seed))


class Recurrent(equinox.Module):
    cell: equinox.nn.GRUCell
    norm: equinox.nn.LayerNorm
    readout: equinox.nn.Linear

    def __init__(self, n, seed):
        keys = jax.random.split(jax.random.key(seed))
        self.cell = equinox.nn.GRUCell(FEATURES, n, key=keys[0])
        self.norm = equinox.nn.LayerNorm(n)
        self.readout = equinox.nn.Linear(n, OUTPUTS, key=keys[1])

    def __call__(self, x):
        start = jax.numpy.zeros(self.cell.hidden_size)
        state, _ = jax.lax.scan(lambda h, each: (self.cell(each, h), None), start, x)
        return self.readout(self.norm(state))


def mapped(model, x):
    return jax.vmap(model)(x)


FAMILIES = {
    "mlp": Family(
        mlp,
        ROWS,
        {"*.weight": "1 -> 0", "*.bias": "0"},
        mapped,
        fans={"layers.0.weight": (FEATURES, 16), "layers.2.weight": (16, OUTPUTS)},
    ),
    "gru": Family(Recurrent, SEQUENCES, {"norm.*": "0", "*.bias*": "0", "*": "1 -> 0"}, mapped),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_roles(name):
    require_roles(FAMILIES[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_rescaled_and_trained(name):
    require_training(FAMILIES[name])

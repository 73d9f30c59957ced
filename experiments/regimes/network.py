"""Networks of many exponents at once, trained on the same draws, and how far they have moved.

A tanh network with a scalar output f takes steps of batch 1 down the loss f, whose residual is 1
whatever f is: with a squared error the residual's own dependence on width would bend the slopes.
An update is then an outer product, which is kept as its two factors, so that all networks share the
one draw of a large matrix and differ by powers of n and by a few vectors. In 64-bit floats: a
change of order n^-3 is a difference of numbers of order one.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from transfer.scaling import Exponents

FEATURES, INPUTS = 4, 4
# Of the order at which a few steps move the features of a muP network by a tenth to one.
RATES = {"linear": 0.5, "entrywise": 0.25}


def measure(
    networks: Sequence[Exponents], *, steps: int, width: int, seed: int
) -> dict[str, np.ndarray]:
    """Root mean squares after `steps` steps, over neurons and inputs, one number a network.

    `initial_l`: output of weight layer l at initialisation, over draws of it for the readout;
    `update_l`: how far its own update moves it; `features_l`: how far the features that layer l
    puts out have moved; `readout_init`: how far that moves the output through the initial readout;
    `output`: how far the output has moved. All networks are as deep and of one family.
    """
    inputs, normals = draws(networks[0].hidden_layers, width, seed)
    exponents = [[dataclasses.astuple(layer) for layer in net.layers] for net in networks]
    powers = width ** -np.array(exponents, dtype=float)
    with jax.enable_x64(True):
        measured = _measure(inputs, normals, powers, family=networks[0].family, steps=steps)
        return {name: np.asarray(values) for name, values in measured.items()}


@functools.lru_cache(maxsize=1)
def draws(hidden_layers: int, width: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Inputs of length one, the same at every width, and standard normal weights."""
    inputs = np.random.default_rng(seed).normal(size=(INPUTS, FEATURES))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    random = np.random.default_rng([seed, width])
    widths = (FEATURES, *[width] * hidden_layers, 1)
    return inputs, [random.normal(size=shape) for shape in itertools.pairwise(widths)]


@functools.partial(jax.jit, static_argnames=("family", "steps"))
def _measure(inputs, normals, powers, family, steps):
    def one(powers):
        start = [(jnp.zeros((0, n)), jnp.zeros((0, m))) for n, m in map(jnp.shape, normals)]
        updates = start
        for step in range(steps):
            example = inputs[step % len(inputs)][None]
            updates = _step(normals, powers, updates, example, family)
        before = _forward(normals, powers, start, inputs)
        return _changes(
            normals, powers, updates, before, _forward(normals, powers, updates, inputs)
        )

    return jax.vmap(one)(powers)


def _forward(normals, powers, updates, x, taps=None):
    """What every layer acts on and puts out; `taps` are added to the latter."""
    acted_on, put_out = [], []
    for layer, (Z, (left, right)) in enumerate(zip(normals, updates, strict=True)):
        a, b, _ = powers[layer]
        h = a * (b * (x @ Z) + (x @ left.T) @ right)
        if taps is not None:
            h += taps[layer]
        acted_on.append(x)
        put_out.append(h)
        x = jnp.tanh(h)
    return acted_on, put_out


def _step(normals, powers, updates, example, family):
    """One step of SGD, or of Adam without averages and epsilon, which is the gradient's sign."""

    def output(taps):
        acted_on, put_out = _forward(normals, powers, updates, example, taps)
        return put_out[-1].sum(), acted_on

    taps = [jnp.zeros((1, Z.shape[1])) for Z in normals]
    signals, acted_on = jax.grad(output, has_aux=True)(taps)
    stepped = []
    for layer, (left, right) in enumerate(updates):
        a, _, c = powers[layer]
        # dL/dw = a * outer(x, signal)
        x, gradient = acted_on[layer], a * signals[layer]
        if family == "entrywise":
            x, gradient = jnp.sign(x), jnp.sign(gradient)
        stepped.append(
            (jnp.concatenate([left, x]), jnp.concatenate([right, -RATES[family] * c * gradient]))
        )
    return stepped


def _changes(normals, powers, updates, before, after):
    (x0, h0), (x, h) = before, after
    last = len(normals) - 1
    a, b, _ = powers[last]
    measured = {
        "readout_init": _rms(a * b * (x[last] - x0[last]) @ normals[last]),
        "output": _rms(h[last] - h0[last]),
        f"initial_{last + 1}": a * b * jnp.sqrt(jnp.mean(jnp.sum(x0[last] ** 2, axis=1))),
    }
    for layer, (left, right) in enumerate(updates):
        measured[f"update_{layer + 1}"] = _rms(powers[layer, 0] * (x[layer] @ left.T) @ right)
        if layer < last:
            measured[f"initial_{layer + 1}"] = _rms(h0[layer])
            measured[f"features_{layer + 1}"] = _rms(x[layer + 1] - x0[layer + 1])
    return measured


def _rms(values):
    return jnp.sqrt(jnp.mean(values**2))

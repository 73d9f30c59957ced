"""Whatever a user's functions raise, or JAX on their behalf, is one sentence about the argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from refusals import refused

import transfer

INPUT = jax.ShapeDtypeStruct((2, 3), "float32")


def tree(width):
    return {"up": jnp.ones((3, width)), "down": jnp.ones((width, 2))}


def run(parameters, x):
    return x @ parameters["up"] @ parameters["down"]


class Mlp(nnx.Module):
    def __init__(self, width, features=3):
        self.up = nnx.Linear(features, width, rngs=nnx.Rngs(0))
        self.down = nnx.Linear(width, 2, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.down(self.up(x))


class Flagged(linen.Module):
    width: int

    @linen.compact
    def __call__(self, x, train):
        return linen.Dense(2)(linen.Dense(self.width)(x))


def fails(*_):
    raise KeyError("no such layer")


def needs_numbers(width):
    return {"up": jnp.full((3, width), float(np.asarray(jnp.ones(3) * width).sum()))}


@pytest.mark.parametrize(
    ("build", "settings", "names"),
    [
        (fails, {}, ("build(4)", "KeyError")),
        (lambda width: tree(width / 3), {"apply": run}, ("build(4)", "TypeError")),
        (needs_numbers, {"apply": run}, ("build(4)", "TracerArrayConversionError")),
        (tree, {"apply": fails}, ("apply(...)", "KeyError")),
        (tree, {"apply": lambda parameters: 0}, ("apply(...)", "TypeError")),
        (tree, {"apply": run, "inputs": jnp.ones((2, 4))}, ("apply(...)", "TypeError")),
        (Mlp, {"inputs": jnp.ones((2, 4))}, ("inputs=", "TypeError")),
        (Mlp, {"inputs": (INPUT, INPUT)}, ("inputs=", "TypeError", "apply=")),
        (Flagged, {}, ("inputs=", "TypeError", "apply=")),
    ],
)
def test_inference_names_the_argument_and_keeps_the_cause(build, settings, names):
    with refused(*names, recorded=False) as caught:
        transfer.infer_layout(build, base_width=4, width=8, **({"inputs": INPUT} | settings))
    assert caught.value.__cause__ is not None


def test_what_the_function_refuses_itself_is_passed_on():
    def refuses(width):
        raise transfer.TransferError("Not this width; expected another.")

    with refused(recorded=False) as caught:
        transfer.infer_layout(refuses, base_width=4, width=8, inputs=INPUT)
    assert str(caught.value) == "Not this width; expected another."


def drawn(width, seed):
    one, other = jax.random.split(jax.random.key(seed))
    return {
        "up": jax.random.normal(one, (3, width)),
        "down": jax.random.normal(other, (width, 2)) / width,
    }


def fails_later(width, seed):
    if seed:
        raise ValueError("one seed\nis enough")
    return drawn(width, seed)


class NoOptimizer:
    def init(self, parameters):
        return ()

    def update(self, gradients, state, parameters):
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"build": lambda width, seed: fails()}, ("build(64, 0)", "KeyError")),
        ({"build": lambda width: tree(width)}, ("build(64, 0)", "TypeError")),
        ({"build": fails_later}, ("build(64, 1)", "ValueError", "one seed")),
        ({"apply": fails}, ("apply(...)", "KeyError")),
        ({"make_optimizer": fails}, ("make_optimizer(...)", "KeyError")),
        ({"make_optimizer": lambda layout: None}, ("optimizer", 64, "AttributeError")),
        ({"make_optimizer": lambda layout: NoOptimizer()}, ("optimizer", 64, "RuntimeError")),
    ],
)
def test_the_check_names_the_argument_and_keeps_the_cause(settings, names):
    arguments = {
        "build": drawn,
        "widths": (64, 128),
        "base_width": 64,
        "recipe": "mup_table3",
        "inputs": jnp.ones((2, 3)),
        "apply": run,
        "steps": 1,
    }
    with refused(*names, recorded=False) as caught:
        transfer.check(**(arguments | settings))
    assert caught.value.__cause__ is not None

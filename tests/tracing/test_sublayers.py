"""Gains of hidden weights as a forward pass uses them."""

import jax
import jax.numpy as jnp
import numpy as np

from transfer.models import TransformerConfig, initialize, model_layout, stateful_pass
from transfer.scaling import Annotated, Axes, Hyperparameters, Layout, Recipe
from transfer.tracing import sublayer_gains

KEYS = jax.random.split(jax.random.key(0), 4)


def layout_of(**annotations):
    """Every axis but the first of a stack and `features` grows."""

    def at(scale):
        declared = {}
        for path, (axes, shape) in annotations.items():
            names = Axes.parse(axes).names
            sizes = [
                size if name in ("layers", "features") else scale * size
                for name, size in zip(names, shape, strict=True)
            ]
            declared[path] = Annotated(axes=Axes.parse(axes), shape=tuple(sizes), gain=1.0)
        return declared

    return Layout.compare(base=at(1), probe=at(2), target=at(1))


def rms(values):
    return np.sqrt(np.mean(np.square(np.asarray(values, np.float64))))


def close(found, expected):
    # A few roundings of float32, in sums of another order.
    np.testing.assert_allclose(found, expected, rtol=1e-5)


LAYOUT = layout_of(
    first=("features -> embed", (3, 4)),
    layers=("layers | embed -> embed", (5, 4, 4)),
    turned=("embed -> ffn", (4, 6)),
)
PARAMETERS = {
    "first": jax.random.normal(KEYS[0], (3, 4)),
    "layers": jax.random.normal(KEYS[1], (5, 4, 4)),
    "turned": jax.random.normal(KEYS[2], (4, 6)),
}
X = jax.random.normal(KEYS[3], (7, 3))


def forward(tree, scale, x):
    h = x @ tree["first"]
    h, _ = jax.lax.scan(lambda h, w: (jnp.tanh(h @ (scale * w)), None), h, tree["layers"])
    # The weight first, as a transposed product has it.
    return jnp.einsum("df,bd->bf", tree["turned"], jax.nn.relu(h)) / 3


def by_hand(tree, scale, x):
    h, gains = np.asarray(x @ tree["first"]), []
    for weight in np.asarray(tree["layers"]):
        y = h @ (scale * weight)
        gains.append(rms(y) / rms(h))
        h = np.tanh(y)
    h = np.maximum(h, 0)
    return {"layers": np.array(gains), "turned": rms(h @ np.asarray(tree["turned"])) / rms(h)}


def test_every_hidden_weight_has_the_gain_of_its_product():
    """In a scan and out of it, on either side of a product, scaled before it but not after."""
    found = jax.jit(sublayer_gains(forward, LAYOUT))(PARAMETERS, 0.5, X)
    expected = by_hand(PARAMETERS, 0.5, X)
    assert set(found) == set(expected)
    for path, gain in expected.items():
        close(found[path], gain)
    # The sizes of the inputs do not matter where nothing bends, and do where tanh does.
    larger = sublayer_gains(forward, LAYOUT)(PARAMETERS, 0.5, 10 * X)
    close(larger["layers"][0], expected["layers"][0])
    assert abs(larger["layers"][1] / expected["layers"][1] - 1) > 0.01


def test_trials_under_vmap_have_their_own_gains():
    trials = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), PARAMETERS)
    together = jax.vmap(sublayer_gains(forward, LAYOUT), (0, 0, None))(
        trials, jnp.array([0.5, 2.0]), X
    )
    for trial, scale in enumerate((0.5, 2.0)):
        alone = {path: leaf[trial] for path, leaf in trials.items()}
        for path, gain in by_hand(alone, scale, X).items():
            close(together[path][trial], gain)


def test_every_hidden_matrix_of_the_transformer_is_found():
    """At init on random tokens: W of std fan_in^-1/2 keeps sizes, the branches' last has less."""
    config = TransformerConfig(width=64, layers=2, vocabulary=64, head_dim=16, dtype="float32")
    layout = model_layout(config, base_width=64)
    one = Hyperparameters(learning_rate=1.0)
    parameters, multipliers = initialize(config, layout, Recipe("mup"), one, jax.random.key(0))
    apply = stateful_pass(config)

    def forward(parameters, multipliers, tokens):
        return apply(parameters, multipliers, {}, tokens, training=False)[0]

    tokens = jax.random.randint(jax.random.key(1), (4, 32), 0, 64)
    found = sublayer_gains(forward, layout.parameters)(parameters, multipliers, tokens)
    assert len(found) == 7
    for path, gain in found.items():
        assert gain.shape == (2,)
        # Two branches in each of two layers: std (2 L)^-1/2. Nothing else knows of the inputs;
        # 64 x 64 entries and more tell the size of a product to a few percent.
        expected = 0.5 if path.endswith(("out.kernel", "down.kernel")) else 1.0
        np.testing.assert_allclose(gain, expected, rtol=0.15)

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx, traverse_util
from refusals import refused

from transfer.models import TransformerConfig, forward_pass, model_layout, scored_pass
from transfer.models.layers import rotary
from transfer.models.transformer import Block
from transfer.models.variables import Multiplier
from transfer.scaling import Recipe

from . import drawn

CONFIG = TransformerConfig(
    width=16,
    layers=3,
    vocabulary=11,
    head_dim=4,
    queries_per_kv_head=2,
    feed_forward_multiple=2.0,
    dtype="float32",
)
TOKENS = jax.random.randint(jax.random.key(7), (2, 9), 0, 11)


def draw(config: TransformerConfig, recipe: str = "mup"):
    return drawn.draw(config, Recipe.parse(recipe))


def logits(config: TransformerConfig, parameters, multipliers, tokens=TOKENS):
    return drawn.forward(config)(parameters, multipliers, tokens)


@pytest.mark.parametrize("changes", [{}, {"qk_norm": True}, {"head_dim": 0, "heads": 2}])
def test_the_past_does_not_see_the_future(changes):
    config = dataclasses.replace(CONFIG, **changes)
    trained = draw(config)
    changed = TOKENS.at[:, 5].add(1) % 11

    before, after = logits(config, *trained), logits(config, *trained, changed)

    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (jnp.abs(before[:, 5:] - after[:, 5:]).max(axis=-1) > 1e-6).all()


def test_grouped_queries_are_repeated_keys_and_values():
    parameters, multipliers = draw(CONFIG)
    repeated = jax.tree.map(lambda leaf: leaf, parameters)
    for name in ("key", "value"):
        kernel = parameters["blocks"]["attention"][name]["kernel"]
        repeated["blocks"]["attention"][name]["kernel"] = jnp.repeat(kernel, 2, axis=2)
    full = dataclasses.replace(CONFIG, queries_per_kv_head=1)

    np.testing.assert_allclose(
        logits(CONFIG, parameters, multipliers), logits(full, repeated, multipliers), atol=1e-5
    )


def test_scanned_layers_are_applied_one_after_another():
    parameters, multipliers = draw(CONFIG)
    graph, *states = nnx.split(
        nnx.eval_shape(lambda: Block(CONFIG, nnx.Rngs(0))), nnx.Param, Multiplier
    )

    x = parameters["embedding"]["table"][TOKENS] * multipliers["embedding"]["multiplier"]
    for layer in range(CONFIG.layers):
        weights = (_layer(tree["blocks"], layer) for tree in (parameters, multipliers))
        x = nnx.merge(graph, *map(_filled, states, weights))(x)
    x /= jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    readout = parameters["readout"]["kernel"] * multipliers["readout"]["multiplier"]

    np.testing.assert_allclose(logits(CONFIG, parameters, multipliers), x @ readout, atol=1e-5)


def _layer(blocks, layer):
    return {path: leaf[layer] for path, leaf in traverse_util.flatten_dict(blocks).items()}


def _filled(state, weights):
    return nnx.from_flat_state(
        [(path, variable.replace(weights[path])) for path, variable in nnx.to_flat_state(state)]
    )


@pytest.mark.parametrize("policy", ["elementwise", "products", "full"])
def test_rematerialisation_changes_memory_and_not_gradients(policy):
    parameters, multipliers = draw(CONFIG)

    def gradients(config):
        def loss(parameters):
            return jnp.mean(jnp.square(forward_pass(config)(parameters, multipliers, TOKENS)))

        return drawn.jit(jax.grad(loss)), jax.make_jaxpr(jax.grad(loss))(parameters)

    plain, plain_program = gradients(CONFIG)
    again, again_program = gradients(dataclasses.replace(CONFIG, remat=policy))
    for one, other in zip(
        jax.tree.leaves(plain(parameters)), jax.tree.leaves(again(parameters)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert "remat" in str(again_program)
    assert "remat" not in str(plain_program)


def test_each_policy_keeps_less_than_the_one_before():
    config = dataclasses.replace(CONFIG, layers=8)
    parameters, multipliers = draw(config)

    def memory(policy):
        apply = scored_pass(dataclasses.replace(config, remat=policy))

        def loss(parameters):
            scores, _ = apply(parameters, multipliers, {}, TOKENS, TOKENS, training=True)
            return jnp.mean(scores.losses)

        compiled = jax.jit(jax.grad(loss)).lower(parameters).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    nothing, products, full = map(memory, ("", "products", "full"))
    assert full < 0.8 * products < 0.8 * 0.8 * nothing


def test_on_a_tpu_no_product_is_taken_twice():
    config = dataclasses.replace(CONFIG, width=256, head_dim=128, attention="splash")
    tokens = jnp.zeros((1, 128), jnp.int32)
    parameters, multipliers = jax.eval_shape(lambda: drawn.draw(config, base_width=256))

    def products(remat):
        apply = scored_pass(dataclasses.replace(config, remat=remat))

        def loss(parameters, multipliers):
            scores, _ = apply(parameters, multipliers, {}, tokens, tokens, training=True)
            return jnp.mean(scores.losses)

        return str(jax.make_jaxpr(jax.grad(loss))(parameters, multipliers)).count("dot_general")

    selected = config.on("tpu", jax.ShapeDtypeStruct((1, 128), "int32"))
    assert (selected.remat, config.on("gpu", tokens).remat) == ("elementwise", "")
    # Nor is attention, whose kernels the compiled programs of `tests/plan` count.
    assert products("elementwise") == products("")
    # The control: of a layer that is taken again, all seven products are but the last.
    assert products("full") >= products("") + 6


def test_bfloat16_is_for_products_only():
    config = dataclasses.replace(CONFIG, dtype="bfloat16")
    parameters, multipliers = draw(config)

    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype("float32")}
    half, full = logits(config, parameters, multipliers), logits(CONFIG, parameters, multipliers)
    assert half.dtype == jnp.float32
    # 8 bits of mantissa through three layers: near, but not the same.
    assert 1e-4 < jnp.abs(half - full).max() / jnp.abs(full).max() < 5e-2


def test_a_tied_readout_is_the_embeddings_table():
    config = dataclasses.replace(CONFIG, tied=True)
    parameters, multipliers = draw(config)
    assert "readout" not in parameters

    # A token that never occurs is seen by the readout alone.
    absent = (
        int(np.setdiff1d(np.arange(11), np.asarray(TOKENS))[0])
        if len(np.setdiff1d(np.arange(11), np.asarray(TOKENS)))
        else 10
    )
    tokens = jnp.where(absent == TOKENS, (absent + 1) % 11, TOKENS)
    table = parameters["embedding"]["table"]
    moved = dict(parameters, embedding={"table": table.at[absent].mul(3.0)})
    before = logits(config, parameters, multipliers, tokens)
    after = logits(config, moved, multipliers, tokens)

    np.testing.assert_allclose(after[..., absent], 3 * before[..., absent], rtol=1e-4)
    others = np.delete(np.arange(11), absent)
    np.testing.assert_array_equal(before[..., others], after[..., others])


@pytest.mark.parametrize(("recipe", "power"), [("mup", -1.0), ("standard", -0.5)])
def test_logits_fall_with_a_head_dimension_that_grows(recipe, power):
    growing = dataclasses.replace(CONFIG, head_dim=0, heads=2)
    multiplier = draw(growing, recipe)[1]["blocks"]["attention"]["logit_multiplier"]
    # Base width 8 has head dimension 4, width 16 has 8.
    np.testing.assert_allclose(multiplier, 4**-0.5 * 2**power, rtol=1e-6)
    fixed = draw(CONFIG, recipe)[1]["blocks"]["attention"]["logit_multiplier"]
    np.testing.assert_allclose(fixed, 4**-0.5, rtol=1e-6)


def test_zero_inits_are_zero_and_only_they():
    config = dataclasses.replace(CONFIG, zero_init_query=True, zero_init_readout=True)
    parameters, multipliers = draw(config)

    assert not parameters["readout"]["kernel"].any()
    assert not parameters["blocks"]["attention"]["query"]["kernel"].any()
    assert parameters["blocks"]["attention"]["key"]["kernel"].all()
    assert not logits(config, parameters, multipliers).any()


def test_gains_can_be_left_out():
    with_gains, without = (
        set(model_layout(dataclasses.replace(CONFIG, norm_gains=on), 8).parameters)
        for on in (True, False)
    )
    assert without < with_gains
    assert {path.rpartition(".")[2] for path in with_gains - without} == {"gain"}


def test_rotary_products_depend_on_distance_alone():
    q, k = jax.random.normal(jax.random.key(0), (2, 8))
    everywhere = jnp.ones((1, 12, 1, 1))
    rotated_q = rotary(q * everywhere)[0, :, 0]
    rotated_k = rotary(k * everywhere)[0, :, 0]
    products = rotated_q @ rotated_k.T

    for distance in range(-5, 6):
        diagonal = jnp.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)
    assert jnp.ptp(products[0]) > 0.1
    np.testing.assert_allclose(rotated_q[0], q, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"width": 0}, ("model.width", 0)),
        ({"layers": 0}, ("model.layers", 0)),
        ({"width": 18}, ("head_dim", 4, 18)),
        ({"head_dim": 0, "heads": 3}, ("heads", 3, 16)),
        ({"heads": 2}, ()),
        ({"head_dim": 0}, ()),
        ({"queries_per_kv_head": 3}, ("queries_per_kv_head", 3, 4)),
        ({"width": 15, "head_dim": 5, "queries_per_kv_head": 1}, (5,)),
        ({"feed_forward_multiple": 2.7}, ("feed_forward_multiple", 2.7)),
        ({"embedding_std": 0.0}, ("embedding_std", 0.0)),
        ({"dtype": "float8"}, ("float8",)),
        ({"attention": "flash"}, ("flash",)),
        ({"layer_loop": "while"}, ("while",)),
    ],
)
def test_a_shape_that_cannot_be_is_refused(changes, names):
    with refused(*names):
        dataclasses.replace(CONFIG, **changes)

import dataclasses
import json

import jax
import numpy as np
import pytest
from refusals import refused
from safetensors.numpy import load_file

from transfer.models import TransformerConfig
from transfer.models.export import export_llama
from transfer.scaling import Recipe

from . import drawn, llama

CONFIG = TransformerConfig(
    width=24,
    layers=2,
    vocabulary=13,
    head_dim=4,
    queries_per_kv_head=3,
    feed_forward_multiple=2.0,
    dtype="float32",
)
# Away from 1, so that a multiplier that is not folded in shows.
HYPERPARAMETERS = {"embedding_output": 3.0, "readout_output": 2.0, "attention_logits": 5.0}
TOKENS = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def trained(config: TransformerConfig, recipe: str):
    """Parameters as training leaves them: gains too have moved."""
    parameters, multipliers = drawn.draw(
        config, Recipe.parse(recipe), base_width=12, **HYPERPARAMETERS
    )
    leaves, structure = jax.tree.flatten(parameters)
    generator = np.random.default_rng(1)
    moved = [leaf + 0.1 * generator.normal(size=leaf.shape).astype("f4") for leaf in leaves]
    return jax.tree.unflatten(structure, moved), multipliers


def relative(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.parametrize("recipe", ["standard", "ntk", "mup", "mup_table9", "mean_field", "unit"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"qk_norm": True},
        {"qk_norm": True, "norm_gains": False},
        {"head_dim": 0, "heads": 3},
    ],
    ids=["llama", "qwen3", "no gains", "growing heads"],
)
def test_an_exported_model_is_the_published_one(recipe, changes, tmp_path):
    config = dataclasses.replace(CONFIG, **changes)
    parameters, multipliers = trained(config, recipe)

    export_llama(config, parameters, multipliers, tmp_path)

    described = json.loads((tmp_path / "config.json").read_text())
    weights = load_file(tmp_path / "model.safetensors")
    ours = drawn.logits(config, parameters, multipliers, TOKENS[None])[0]
    # Float32 here against float64 there.
    assert relative(ours, llama.logits(described, weights, TOKENS)) < 1e-5


@pytest.mark.parametrize("qk_norm", [False, True])
def test_the_multiplier_of_residual_branches_is_folded_in(qk_norm, tmp_path):
    config = dataclasses.replace(CONFIG, qk_norm=qk_norm)
    parameters, multipliers = trained(config, "mup")
    multipliers["blocks"]["branch_multiplier"] = np.array([0.25, 0.5], np.float32)

    export_llama(config, parameters, multipliers, tmp_path)

    described = json.loads((tmp_path / "config.json").read_text())
    weights = load_file(tmp_path / "model.safetensors")
    ours = drawn.logits(config, parameters, multipliers, TOKENS[None])[0]
    assert relative(ours, llama.logits(described, weights, TOKENS)) < 1e-5


@pytest.mark.parametrize("recipe", ["mup", "mean_field"])
def test_a_tied_model_is_exported_untied(recipe, tmp_path):
    config = dataclasses.replace(CONFIG, tied=True)
    parameters, multipliers = trained(config, recipe)

    export_llama(config, parameters, multipliers, tmp_path)

    described = json.loads((tmp_path / "config.json").read_text())
    assert described["tie_word_embeddings"] is False
    ours = drawn.logits(config, parameters, multipliers, TOKENS[None])[0]
    theirs = llama.logits(described, load_file(tmp_path / "model.safetensors"), TOKENS)
    assert relative(ours, theirs) < 1e-5


def test_a_multiplier_that_is_not_folded_in_would_show(tmp_path):
    parameters, multipliers = trained(CONFIG, "mup")
    ones = jax.tree.map(np.ones_like, multipliers)

    export_llama(CONFIG, parameters, ones, tmp_path)

    described = json.loads((tmp_path / "config.json").read_text())
    ours = drawn.logits(CONFIG, parameters, multipliers, TOKENS[None])[0]
    theirs = llama.logits(described, load_file(tmp_path / "model.safetensors"), TOKENS)
    assert relative(ours, theirs) > 0.1


def test_the_description_has_the_published_names_and_sizes(tmp_path):
    export_llama(CONFIG, *trained(CONFIG, "mup"), tmp_path)

    described = json.loads((tmp_path / "config.json").read_text())
    expected = {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 13,
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 4,
    }
    assert {name: described[name] for name in expected} == expected
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["model.layers.1.self_attn.k_proj.weight"].shape == (8, 24)
    assert weights["model.layers.0.mlp.down_proj.weight"].shape == (24, 48)
    assert {str(weight.dtype) for weight in weights.values()} == {"float32"}


def test_a_checkpoint_is_never_overwritten(tmp_path):
    export_llama(CONFIG, *trained(CONFIG, "mup"), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    with refused(tmp_path):
        export_llama(CONFIG, *trained(CONFIG, "standard"), tmp_path)

    assert (tmp_path / "model.safetensors").read_bytes() == before

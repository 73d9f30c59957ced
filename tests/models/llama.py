"""Published LLaMA and Qwen3 in NumPy, from their papers and weight names; knows no `transfer`."""

from typing import Any

import numpy as np


def logits(config: dict[str, Any], weights: dict[str, np.ndarray], tokens: np.ndarray) -> Any:
    """Map token ids (time,) to logits (time, vocabulary), in float64."""
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    x = weights["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        block = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
        x = x + _attention(config, block, _rms(x, block["input_layernorm.weight"]))
        x = x + _mlp(block, _rms(x, block["post_attention_layernorm.weight"]))
    return _rms(x, weights["model.norm.weight"]) @ weights["lm_head.weight"].T


def _attention(config: dict[str, Any], block: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    time, size = len(x), config["head_dim"]
    q, k, v = (
        (x @ block[f"self_attn.{name}_proj.weight"].T).reshape(time, -1, size) for name in "qkv"
    )
    if config["model_type"] == "qwen3":
        q = _rms(q, block["self_attn.q_norm.weight"])
        k = _rms(k, block["self_attn.k_norm.weight"])
    q, k = _rope(q, config["rope_theta"]), _rope(k, config["rope_theta"])
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    heads = []
    for head in range(config["num_attention_heads"]):
        scores = q[:, head] @ k[:, head // group].T / np.sqrt(size)
        scores[np.triu_indices(time, 1)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads.append(scores / scores.sum(axis=-1, keepdims=True) @ v[:, head // group])
    return np.concatenate(heads, axis=-1) @ block["self_attn.o_proj.weight"].T


def _mlp(block: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    gate = x @ block["mlp.gate_proj.weight"].T
    up = x @ block["mlp.up_proj.weight"].T
    return (gate / (1 + np.exp(-gate)) * up) @ block["mlp.down_proj.weight"].T


def _rms(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * gain


def _rope(x: np.ndarray, theta: float) -> np.ndarray:
    time, _, size = x.shape
    angles = np.outer(np.arange(time), theta ** (-np.arange(0, size, 2) / size))
    cos, sin = (np.tile(f(angles), 2)[:, None] for f in (np.cos, np.sin))
    rotated = np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], axis=-1)
    return x * cos + rotated * sin

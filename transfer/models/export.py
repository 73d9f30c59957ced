"""Checkpoints for other libraries: the published LLaMA layout, with multipliers folded in."""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from etils import epath
from flax import traverse_util
from safetensors.numpy import save

from transfer.atomic import atomic_write
from transfer.errors import TransferError
from transfer.models.functional import Arrays, ModelLayout
from transfer.models.transformer import TransformerConfig
from transfer.scaling import Parameter
from transfer.user_paths import user_path


def export_llama(
    config: TransformerConfig, parameters: Arrays, multipliers: Arrays, folder: epath.PathLike
) -> epath.Path:
    """Write config.json and model.safetensors as a LLaMA checkpoint, or Qwen3 with QK-norm.

    The multipliers of the embedding and the readout go into their tables (which unties tied ones),
    the multiplier of each matrix into the matrix, and that of a residual branch into the branch's
    last matrix. The attention logits' multiplier, times the sqrt(head_dim) that those models divide
    by, goes into the query: its matrix, or the gain of its norm. All are float32.
    Raises `TransferError` when the folder holds a checkpoint already.
    """
    folder = user_path(folder, "output folder")
    if (folder / "config.json").exists() or (folder / "model.safetensors").exists():
        raise TransferError(
            f"{folder} holds a checkpoint already; expected a new or empty folder: nothing is "
            "overwritten."
        )
    tensors = _tensors(config, parameters, multipliers)
    with atomic_write(folder / "model.safetensors") as file:
        file.write(save(tensors, metadata={"format": "pt"}))
    with atomic_write(folder / "config.json") as file:
        file.write((json.dumps(_description(config), indent=2) + "\n").encode())
    return folder


class FoldedParameter(NamedTuple):
    """Which parameter a published tensor holds, and the product of the multipliers folded into it.

    Every layer's tensor holds its own part of one stacked parameter.
    """

    path: str
    scale: float


def folded_parameters(
    config: TransformerConfig, layout: ModelLayout, multipliers: Mapping[str, float]
) -> dict[str, FoldedParameter]:
    """Return what every tensor of an exported checkpoint holds, by its published name.

    It is what `export_llama` makes of parameters that say which they are, one entry each.

    Arguments:
      multipliers: the values of the layout's multipliers, by path.

    Example:
      >>> from transfer.models import model_layout
      >>> config = TransformerConfig(width=64)
      >>> layout = model_layout(config, base_width=16)
      >>> found = folded_parameters(config, layout, dict.fromkeys(layout.multipliers, 0.5))
      >>> found["model.layers.1.mlp.up_proj.weight"]
      FoldedParameter(path='blocks.feed_forward.up.kernel', scale=0.5)
    """
    paths = list(layout.parameters)

    def stack(declared: Parameter) -> tuple[int, ...]:
        return declared.shape[: len(declared.axes.stack)]

    scales = {
        path: np.full(stack(layout.multipliers[path]), scale) for path, scale in multipliers.items()
    }

    def tensors(entry: Callable[[str], float]) -> dict[str, np.ndarray]:
        ones = {
            path: np.ones(stack(each) + (1,) * (len(each.shape) - len(each.axes.stack)))
            for path, each in layout.parameters.items()
        }
        filled = {path: entry(path) * one for path, one in ones.items()}
        trees = (traverse_util.unflatten_dict(tree, sep=".") for tree in (filled, scales))
        return _tensors(config, *trees)

    ones = tensors(lambda path: 1.0)
    marked = tensors(lambda path: 1.0 + paths.index(path))
    found = {}
    for name, tensor in ones.items():
        if tensor.size == 1:
            scale = float(tensor.item())
            place = round(float(marked[name].item()) / scale) - 1
            found[name] = FoldedParameter(paths[place], scale)
    return found


def _tensors(
    config: TransformerConfig, parameters: Arrays, multipliers: Arrays
) -> dict[str, np.ndarray]:
    embedding, scale = parameters["embedding"], multipliers["embedding"]
    table = np.asarray(embedding["table"], np.float32)
    if config.tied:
        readout = table * scale["readout_multiplier"]
    else:
        readout = _matrix(parameters["readout"], multipliers["readout"], 1).T
    tensors = {
        "model.embed_tokens.weight": table * scale["multiplier"],
        "model.norm.weight": _gain(parameters.get("norm", {}), config.width),
        "lm_head.weight": readout,
    }
    for layer in range(config.layers):
        weights, scales = (_at(tree["blocks"], layer) for tree in (parameters, multipliers))
        for name, tensor in _block(config, weights, scales).items():
            tensors[f"model.layers.{layer}.{name}.weight"] = tensor
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}


def _block(config: TransformerConfig, weights: Arrays, scales: Arrays) -> dict[str, np.ndarray]:
    attention, attention_scale = weights["attention"], scales["attention"]
    logits = attention_scale["logit_multiplier"] * np.sqrt(config.size_per_head)
    query = _matrix(attention["query"], attention_scale["query"], 1)
    branch = scales["branch_multiplier"]
    tensors = {
        "input_layernorm": _gain(weights.get("attention_norm", {}), config.width),
        "post_attention_layernorm": _gain(weights.get("feed_forward_norm", {}), config.width),
        "self_attn.q_proj": (query if config.qk_norm else query * logits).T,
        "self_attn.k_proj": _matrix(attention["key"], attention_scale["key"], 1).T,
        "self_attn.v_proj": _matrix(attention["value"], attention_scale["value"], 1).T,
        "self_attn.o_proj": _matrix(attention["out"], attention_scale["out"], 2).T * branch,
    }
    if config.qk_norm:
        size = config.size_per_head
        tensors["self_attn.q_norm"] = _gain(attention.get("query_norm", {}), size) * logits
        tensors["self_attn.k_norm"] = _gain(attention.get("key_norm", {}), size)
    for name in ("gate", "up", "down"):
        linear, scale = weights["feed_forward"][name], scales["feed_forward"][name]
        tensors[f"mlp.{name}_proj"] = _matrix(linear, scale, 1).T
    tensors["mlp.down_proj"] *= branch
    return tensors


def _matrix(linear: Arrays, scale: Arrays, inputs: int) -> np.ndarray:
    kernel = np.asarray(linear["kernel"], np.float32) * scale["multiplier"]
    return kernel.reshape(int(np.prod(kernel.shape[:inputs])), -1)


def _gain(norm: Arrays, size: int) -> np.ndarray:
    return np.asarray(norm.get("gain", np.ones(size)), np.float32)


def _at(tree: Arrays, layer: int) -> Arrays:
    return {
        name: _at(value, layer) if isinstance(value, dict) else value[layer]
        for name, value in tree.items()
    }


def _description(config: TransformerConfig) -> dict[str, object]:
    architecture, kind = ("Qwen3", "qwen3") if config.qk_norm else ("Llama", "llama")
    return {
        "architectures": [f"{architecture}ForCausalLM"],
        "model_type": kind,
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.query_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.size_per_head,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float32",
    }

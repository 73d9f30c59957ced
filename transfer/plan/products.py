"""FLOPs of a product in a compiled program: 2 for a multiplication with its addition."""

import functools
import math
import re
from collections.abc import Mapping

import numpy as np

from transfer.plan.hlo import Computation, Instruction

# Kernels whose inside the compiler does not see, by how their names begin, and how many products of
# the size of the attention logits each takes: forward q k^T and p v; backward, for q, q k^T again,
# do v^T and ds k; backward, for k and v, q k^T and do v^T again, p^T do and ds^T q.
_KERNELS: Mapping[str, int] = {"splash_mha_fwd": 2, "splash_mha_dq": 3, "splash_mha_dkv": 4}
# What a causal mask leaves of a grid of n x n blocks is (n + 1) / 2n.
_MASK = re.compile(r"s8\[\d+,(\d+),(\d+)\]")


def flops(instruction: Instruction, computation: Computation) -> float | None:
    """FLOPs of an instruction, 0 for all but products; None for a kernel that is not known."""
    if instruction.operation == "dot":
        left = computation.instructions[instruction.operands[0]].outputs[0]
        contracted = instruction.numbers("lhs_contracting_dims")
        terms = math.prod(left.shape[place] for place in contracted)
        return 2.0 * terms * math.prod(instruction.outputs[0].shape)
    if instruction.operation == "convolution":
        return _convolution(instruction, computation)
    if instruction.operation == "custom-call" and "tpu_custom_call" in instruction.attributes:
        return _kernel(instruction, computation)
    return 0.0


def _convolution(instruction: Instruction, computation: Computation) -> float:
    """Only where the window meets the input, neither padding nor the holes of a dilation.

    The compiler for TPUs writes a batched product as a convolution whose window mostly misses.
    """
    left, right, result = re.split(r"_|->", instruction.attribute("dim_labels"))
    image, kernel = computation.buffers(instruction)[:2]
    output = instruction.outputs[0]

    def size(buffer_shape: tuple[int, ...], labels: str, label: str) -> int:
        return buffer_shape[labels.index(label)]

    window = _window(instruction.attribute("window"))
    met = 1
    for dimension in range(len(left) - 2):
        label = str(dimension)
        met *= _positions(
            size(image.shape, left, label),
            size(kernel.shape, right, label),
            size(output.shape, result, label),
            *window[dimension],
        )
    pairs = size(kernel.shape, right, "i") * size(output.shape, result, "f")
    return 2.0 * met * pairs * size(output.shape, result, "b")


def _window(text: str) -> list[tuple[int, int, int, int]]:
    """Stride, padding before, dilation of the input and of the kernel, by dimension."""
    found = dict(re.findall(r"(\w+)=([\dx_\-]+)", text))
    count = len(found["size"].split("x")) if "size" in found else 0

    def numbers(name: str, default: str) -> list[int]:
        values = found[name].split("x") if name in found else [default] * count
        return [int(value.split("_")[0]) for value in values]

    columns = (
        numbers("stride", "1"),
        numbers("pad", "0"),
        numbers("lhs_dilate", "1"),
        numbers("rhs_dilate", "1"),
    )
    return list(zip(*columns, strict=True))


@functools.cache
def _positions(
    size: int, kernel: int, output: int, stride: int, padding: int, dilation: int, spread: int
) -> int:
    """How many pairs of an output and a place of the kernel meet an element of the input."""
    places = np.arange(output)[:, None] * stride - padding + np.arange(kernel)[None, :] * spread
    inside = (places >= 0) & (places < (size - 1) * dilation + 1)
    return int(np.sum(inside & (places % dilation == 0)))


def _kernel(instruction: Instruction, computation: Computation) -> float | None:
    products = next(
        (count for name, count in _KERNELS.items() if instruction.name.startswith(name)), None
    )
    if products is None:
        return None
    # Before the queries come integers alone: the blocks that the mask leaves.
    query = next(each for each in computation.buffers(instruction) if "f" in each.dtype)
    *batch, time, head_dim = query.shape
    mask = _MASK.search(instruction.attributes)
    blocks = int(mask[2]) if mask else 1
    share = (blocks + 1) / (2 * blocks)
    return products * 2.0 * math.prod(batch) * time * time * head_dim * share

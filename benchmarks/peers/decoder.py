"""The decoder of `transfer.models.TransformerConfig` in torch, in its usual fast form.

Query, key and value are one product, and so are gate and up, which took a tenth off the median of
a compiled step at widths 16 and 64, and nothing at 256. Shapes are written after a name: B batch, T
time, D embed, N heads, H head dim,
V vocabulary.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import setting


class Attention(nn.Module):
    """Causal attention with rotary positions, in the half-split layout."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTD: torch.Tensor, cos_TH: torch.Tensor, sin_TH: torch.Tensor):
        B, T, D = x_BTD.shape
        qkv = self.qkv(x_BTD).view(B, T, 3, D // setting.HEAD_DIM, setting.HEAD_DIM)
        q_BNTH, k_BNTH, v_BNTH = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q_BNTH, k_BNTH = (_rotated(x, cos_TH, sin_TH) for x in (q_BNTH, k_BNTH))
        y_BNTH = F.scaled_dot_product_attention(q_BNTH, k_BNTH, v_BNTH, is_causal=True)
        return self.out(y_BNTH.transpose(1, 2).reshape(B, T, D))


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, width: int):
        super().__init__()
        feed_forward = setting.FEED_FORWARD_MULTIPLE * width
        self.gate_up = nn.Linear(width, 2 * feed_forward, bias=False)
        self.down = nn.Linear(feed_forward, width, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up(x_BTD).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, width: int):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.attention = Attention(width)
        self.feed_forward_norm = nn.RMSNorm(width, eps=1e-6)
        self.feed_forward = SwiGLU(width)

    def forward(self, x_BTD: torch.Tensor, cos_TH: torch.Tensor, sin_TH: torch.Tensor):
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), cos_TH, sin_TH)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))


class Decoder(nn.Module):
    """Tokens (B, T + 1) to the mean cross-entropy of predicting each from those before it.

    `readout` makes the last layer. The logits' multiplier is a buffer, so that a program compiled
    for one recipe serves another.
    """

    def __init__(self, width: int, readout: Callable[..., nn.Linear] = nn.Linear):
        super().__init__()
        self.embedding = nn.Embedding(setting.VOCABULARY, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(setting.LAYERS))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.readout = readout(width, setting.VOCABULARY, bias=False)
        half = setting.HEAD_DIM // 2
        angles_Th = torch.arange(setting.SEQUENCE_LENGTH)[:, None] * (
            10_000.0 ** (-torch.arange(half) / half)
        )
        angles_TH = torch.cat([angles_Th, angles_Th], dim=-1)
        self.register_buffer("cos_TH", angles_TH.cos())
        self.register_buffer("sin_TH", angles_TH.sin())
        self.register_buffer("multiplier", torch.ones(()))
        self.draw()

    @torch.no_grad()
    def draw(self, seed: int = 0, readout_std: float | None = None) -> None:
        """Draw all weights anew, in place, because a compiled program goes on with these tensors.

        Stds are those of this library: 1 for the embedding, 1 / sqrt(fan-in) for matrices, and that
        over sqrt(2 layers) for those that end a residual branch.
        """
        torch.manual_seed(seed)
        nn.init.normal_(self.embedding.weight)
        branch_ends = [
            layer
            for block in self.blocks
            for layer in (block.attention.out, block.feed_forward.down)
        ]
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = module.in_features**-0.5
                if module in branch_ends:
                    std /= (2 * setting.LAYERS) ** 0.5
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.RMSNorm):
                nn.init.ones_(module.weight)
        if readout_std is not None:
            nn.init.normal_(self.readout.weight, std=readout_std)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x_BTD = self.embedding(tokens[:, :-1])
        for block in self.blocks:
            x_BTD = block(x_BTD, self.cos_TH, self.sin_TH)
        logits_BTV = self.readout(self.norm(x_BTD) * self.multiplier)
        labels_BT = tokens[:, 1:]
        return F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten())


def _rotated(x: torch.Tensor, cos_TH: torch.Tensor, sin_TH: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos_TH + torch.cat([-second, first], dim=-1) * sin_TH

"""The decoder under muP by Microsoft's package `mup`: its readout, its base shapes, its AdamW."""

import mup
import torch

from benchmarks import setting
from benchmarks.peers.decoder import Decoder
from benchmarks.peers.training import groups


def mup_decoder(width: int) -> Decoder:
    """Make the decoder with `MuReadout`, compared with its base width."""
    model, base, wider = (
        Decoder(each, mup.MuReadout) for each in (width, setting.BASE_WIDTH, 2 * setting.BASE_WIDTH)
    )
    return mup.set_base_shapes(model, base, delta=wider)


def mup_optimizer(model: Decoder, learning_rate: float) -> torch.optim.Optimizer:
    """Return `MuAdamW`, which keeps learning rate times decay as it is; fused, as the other one."""
    hidden, rest = groups(model)
    return mup.MuAdamW(
        [
            {"params": hidden, "weight_decay": setting.WEIGHT_DECAY},
            {"params": rest, "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=setting.BETAS,
        eps=setting.EPSILON,
        fused=True,
    )

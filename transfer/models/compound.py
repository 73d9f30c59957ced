"""Residual networks that are deeper, wider and see larger images, for so many times the FLOPs."""

import dataclasses
import math

from transfer.errors import TransferError
from transfer.models.resnet import ResNetConfig
from transfer.scaling.compound import Compound


def scaled(
    config: ResNetConfig, resolution: int, compound: Compound, flops: float
) -> tuple[ResNetConfig, int]:
    """Return a network and its resolution in pixels, near `flops` times the FLOPs of the one given.

    Each is rounded to the nearest that a network can have, and is at least 1: the blocks of each
    stage, pixels, and channels, of which group norm needs whole groups. So FLOPs grow by `flops`
    but for the rounding, and for a stem and a readout that do not grow with depth. Growth below 1
    makes a network smaller.

    Raises `TransferError` unless growth is above 0 and finite.

    Example:
      >>> from transfer.scaling.compound import COMPOUNDS
      >>> ResNet34 = ResNetConfig(stages=(3, 4, 6, 3), stem="imagenet", classes=1000)
      >>> config, resolution = scaled(ResNet34, 224, COMPOUNDS["fast"], 32)
      >>> config.width, config.stages, resolution
      (256, (4, 6, 8, 4), 266)

    Source: Dollár et al., arXiv 2103.06877.
    """
    if not 0 < flops < math.inf:
        raise TransferError(
            f"FLOPs are to grow {flops} times; expected a finite number above 0, such as 4."
        )
    grown = compound.at(flops)
    groups = (config.group_size or config.groups) if config.norm == "group" else 1
    network = dataclasses.replace(
        config,
        width=_nearest(config.width * grown["width"], groups),
        stages=tuple(_nearest(blocks * grown["depth"]) for blocks in config.stages),
    )
    return network, _nearest(resolution * grown["resolution"])


def _nearest(size: float, unit: int = 1) -> int:
    """The multiple of a unit nearest to a size, and at least one."""
    return unit * max(1, round(size / unit))

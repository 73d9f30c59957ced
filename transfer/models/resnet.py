"""Residual networks for images, small ones or ImageNet's.

Shapes are written after a name: B batch, H height, W width, C channels.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.errors import TransferError
from transfer.models import variables
from transfer.models.convolution import BACKENDS, Convolution, max_pool, select_backend
from transfer.models.inputs import ImageInputs, InputSpec
from transfer.models.layers import DTYPES, Linear, exact
from transfer.models.normalization import NORMS, BatchNorm, GroupNorm, LayerNorm
from transfer.scaling.compound import Compound

Norm = Callable[[jax.Array], jax.Array]
BLOCKS = ("basic", "bottleneck")
STEMS = ("small", "imagenet")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """Shape and numerics of a residual network.

    `stages` is the number of blocks in each stage. The first stage has `width` channels, each later
    one twice as many at half the resolution. `basic` blocks are two 3x3 convolutions; `bottleneck`
    ones are 1x1, 3x3 and 1x1, the last with 4 times the stage's channels and the 3x3 with
    `bottleneck_multiple` times as many. `pre_activation` normalizes and rectifies before each
    convolution instead of after it. The `small` stem is a 3x3 convolution, that of `imagenet` 7x7
    of stride 2 and a max pool.

    `norm` is `batch`, `group` or `layer`. Exactly one of `group_size` and `groups` is above 0. With
    groups of a fixed size a channel is normalized alike at every width, as under batch norm. With a
    fixed number of groups each group grows, its mean and variance fluctuate less, and a wide
    network is another function than the narrow one that was tuned; published networks need it.

    With `zero_init_branch` every block starts as its shortcut: the last gain of its branch is 0,
    or the last convolution under `pre_activation`, where no gradient would pass a gain of 0 and the
    rectifier that follows it. `convolution` is a backend, or empty for the hardware's best.

    Example:
      >>> ResNet50 = ResNetConfig(
      ...     stages=(3, 4, 6, 3), block="bottleneck", stem="imagenet", classes=1000
      ... )
      >>> ResNet50.channels
      (64, 128, 256, 512)

    Source: He et al., arXiv 1512.03385 and 1603.05027; Zagoruyko & Komodakis, arXiv 1605.07146.
    """

    reads: ClassVar[str] = "images"
    kind: str = dataclasses.field(default="resnet", init=False)
    width: int = 64
    stages: tuple[int, ...] = (2, 2, 2, 2)
    block: str = "basic"
    bottleneck_multiple: int = 1
    pre_activation: bool = False
    stem: str = "small"
    norm: str = "batch"
    group_size: int = 16
    groups: int = 0
    image_channels: int = 3
    classes: int = 10
    zero_init_branch: bool = False
    zero_init_readout: bool = False
    dtype: str = "bfloat16"
    convolution: str = ""

    def __post_init__(self) -> None:
        for name in ("width", "bottleneck_multiple", "image_channels", "classes"):
            if getattr(self, name) < 1:
                raise TransferError(
                    f"model.{name} is {getattr(self, name)}; expected a whole number of at least 1."
                )
        if not self.stages or min(self.stages) < 1:
            raise TransferError(
                f"model.stages is {self.stages}; expected the number of blocks in each stage, such "
                "as (2, 2, 2, 2)."
            )
        for name, known in (
            ("block", BLOCKS),
            ("stem", STEMS),
            ("norm", NORMS),
            ("dtype", DTYPES),
            ("convolution", ("", *BACKENDS)),
        ):
            if getattr(self, name) not in known:
                raise TransferError(
                    f'model.{name} "{getattr(self, name)}" is unknown; expected one of '
                    f"{', '.join(filter(None, known))}."
                )
        if self.bottleneck_multiple > 1 and self.block != "bottleneck":
            raise TransferError(
                f"model.bottleneck_multiple is {self.bottleneck_multiple} in {self.block} blocks; "
                "expected 1, or bottleneck blocks."
            )
        if min(self.group_size, self.groups) < 0 or (self.group_size > 0) == (self.groups > 0):
            raise TransferError(
                f"model.group_size is {self.group_size} and model.groups is {self.groups}; "
                "expected exactly one above 0 and the other 0: groups of a fixed size, or a fixed "
                "number of them."
            )
        if self.norm == "group" and self.width % (self.group_size or self.groups):
            name = "group_size" if self.group_size else "groups"
            raise TransferError(
                f"model.{name} = {getattr(self, name)} does not divide the width {self.width}; "
                f"expected a width that is a multiple of {getattr(self, name)}."
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage, before a bottleneck's last convolution multiplies them."""
        return tuple(self.width * 2**stage for stage in range(len(self.stages)))

    @property
    def expansion(self) -> int:
        """Channels that leave a block, over those of its stage."""
        return 4 if self.block == "bottleneck" else 1

    def normalize(self, channels: int, *, gain: float = 1.0) -> Norm:
        """Make a norm of this kind."""
        if self.norm == "batch":
            return BatchNorm(channels, gain=gain)
        if self.norm == "layer":
            return LayerNorm(channels, gain=gain)
        return GroupNorm(channels, self.groups or channels // self.group_size, gain=gain)

    @property
    def description(self) -> str:
        """The shape in words, but for the width."""
        order = "pre" if self.pre_activation else "post"
        return (
            f"{order}-activation residual stages of {', '.join(map(str, self.stages))} "
            f"{self.block} blocks with {self.norm} norm"
        )

    def require_fit(self, inputs: InputSpec) -> None:
        """Raise `TransferError` unless the model has the images' channels and enough classes."""
        assert isinstance(inputs, ImageInputs)  # `Experiment` pairs a model with what it reads
        inputs.require_channels_and_classes(self.image_channels, self.classes)

    def build(self, rngs: nnx.Rngs) -> "ResNet":
        """Make the module."""
        return ResNet(self, rngs)

    def plain(self, *, zero_init: bool = False) -> "ResNetConfig":
        """The same shape in float32; branches and readout may start at zero."""
        return dataclasses.replace(
            self, dtype="float32", zero_init_branch=zero_init, zero_init_readout=zero_init
        )

    def on(self, platform: str, inputs: jax.ShapeDtypeStruct) -> "ResNetConfig":
        """The same with the convolution that a platform has, unless one is set."""
        return dataclasses.replace(self, convolution=self.convolution or select_backend(platform))

    def example(self, key: jax.Array) -> jax.Array:
        """Four random images, whose last stage has at least 2 pixels each way."""
        stride = 2 ** (len(self.stages) - 1) * (4 if self.stem == "imagenet" else 1)
        size = max(4, 2 * stride)
        return jax.random.normal(key, (4, size, size, self.image_channels))


class Branch(nnx.Module):
    """The convolutions of a block and their norms, and a 1x1 convolution where shapes change."""

    def __init__(
        self, config: ResNetConfig, rngs: nnx.Rngs, inputs: int, channels: int, stride: int
    ):
        outputs, dtype = channels * config.expansion, jnp.dtype(config.dtype)
        inner = channels * config.bottleneck_multiple
        # Kernel size, channels in and out, stride.
        plan = (
            [(1, inputs, inner, 1), (3, inner, inner, stride), (1, inner, outputs, 1)]
            if config.block == "bottleneck"
            else [(3, inputs, channels, stride), (3, channels, channels, 1)]
        )
        last = len(plan) - 1
        pre, zero = config.pre_activation, config.zero_init_branch
        self.convolutions = nnx.List(
            Convolution(
                rngs,
                size,
                source,
                target,
                stride=step,
                gain=0.0 if zero and pre and index == last else 1.0,
                dtype=dtype,
                backend=config.convolution,
            )
            for index, (size, source, target, step) in enumerate(plan)
        )
        self.norms = nnx.List(
            config.normalize(
                source if pre else target, gain=0.0 if zero and not pre and index == last else 1.0
            )
            for index, (_, source, target, _) in enumerate(plan)
        )
        changes = stride > 1 or inputs != outputs
        self.shortcut = (
            Convolution(
                rngs,
                1,
                inputs,
                outputs,
                stride=stride,
                dtype=dtype,
                backend=config.convolution,
            )
            if changes
            else None
        )


class PostActivationBlock(Branch):
    """relu(x + norm(conv(... relu(norm(conv(x)))))); a shortcut that changes x has a norm too."""

    def __init__(
        self, config: ResNetConfig, rngs: nnx.Rngs, inputs: int, channels: int, stride: int
    ):
        super().__init__(config, rngs, inputs, channels, stride)
        outputs = channels * config.expansion
        self.shortcut_norm = config.normalize(outputs) if self.shortcut is not None else None

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Map (B, H, W, inputs) to (B, H / stride, W / stride, outputs)."""
        y_BHWC, shortcut_BHWC = x_BHWC, x_BHWC
        for index, (convolve, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y_BHWC = norm(convolve(jax.nn.relu(y_BHWC) if index else y_BHWC))
        if self.shortcut is not None and self.shortcut_norm is not None:
            shortcut_BHWC = self.shortcut_norm(self.shortcut(x_BHWC))
        return jax.nn.relu(shortcut_BHWC + y_BHWC)


class PreActivationBlock(Branch):
    """x + conv(relu(norm(... conv(relu(norm(x)))))); a shortcut conv reads the same."""

    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """Map (B, H, W, inputs) to (B, H / stride, W / stride, outputs)."""
        y_BHWC, shortcut_BHWC = x_BHWC, x_BHWC
        for index, (convolve, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y_BHWC = jax.nn.relu(norm(y_BHWC))
            if index == 0 and self.shortcut is not None:
                shortcut_BHWC = self.shortcut(y_BHWC)
            y_BHWC = convolve(y_BHWC)
        return shortcut_BHWC + y_BHWC


class ResNet(nnx.Module):
    """Images (B, H, W, C) to logits (B, classes) in float32 or better.

    Its weights are standard normal until `transfer.models.initialize` scales them by a recipe. The
    blocks of a stage are written out and not stacked, since the first differs from the others; so
    depth is no axis that a recipe's depth rule could follow.
    """

    def __init__(self, config: ResNetConfig, rngs: nnx.Rngs):
        dtype, imagenet = jnp.dtype(config.dtype), config.stem == "imagenet"
        self.stem = Convolution(
            rngs,
            7 if imagenet else 3,
            config.image_channels,
            config.width,
            stride=2 if imagenet else 1,
            dtype=dtype,
            backend=config.convolution,
        )
        self.stem_norm = None if config.pre_activation else config.normalize(config.width)
        self.pool = imagenet
        make = PreActivationBlock if config.pre_activation else PostActivationBlock
        stages, inputs = [], config.width
        for stage, (blocks, channels) in enumerate(
            zip(config.stages, config.channels, strict=True)
        ):
            made = []
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                made.append(make(config, rngs, inputs, channels, stride))
                inputs = channels * config.expansion
            stages.append(nnx.List(made))
        self.stages = nnx.List(stages)
        self.norm = config.normalize(inputs) if config.pre_activation else None
        self.readout = Linear(
            rngs,
            "channels -> classes",
            (inputs,),
            (config.classes,),
            gain=0.0 if config.zero_init_readout else 1.0,
            dtype=dtype,
            accumulate=exact(dtype),
        )
        self.bias = variables.constant("classes", (config.classes,), 0.0)

    def __call__(self, images_BHWC: jax.Array) -> jax.Array:
        """Map images (B, H, W, C) to logits (B, classes)."""
        x_BHWC = self.stem(images_BHWC)
        if self.stem_norm is not None:
            x_BHWC = jax.nn.relu(self.stem_norm(x_BHWC))
        if self.pool:
            x_BHWC = max_pool(x_BHWC)
        for stage in self.stages:
            for block in stage:
                x_BHWC = block(x_BHWC)
        if self.norm is not None:
            x_BHWC = jax.nn.relu(self.norm(x_BHWC))
        x_BC = jnp.mean(x_BHWC.astype(exact(x_BHWC.dtype)), axis=(1, 2))
        return self.readout(x_BC) + self.bias[...]


def compound_scaled(
    config: ResNetConfig, resolution: int, compound: Compound, flops: float
) -> tuple[ResNetConfig, int]:
    """Return a deeper, wider network and the resolution of its images, at about `flops` the FLOPs.

    The blocks of each stage, the pixels, and the channels (in whole groups under group norm) are
    rounded to the nearest number of at least 1. FLOPs therefore grow by `flops` up to rounding, and
    up to the stem and the readout, which do not grow with depth. Below 1 the network gets smaller.

    Raises `TransferError` unless growth is above 0 and finite.

    Example:
      >>> from transfer.scaling.compound import COMPOUNDS
      >>> ResNet34 = ResNetConfig(stages=(3, 4, 6, 3), stem="imagenet", classes=1000)
      >>> config, resolution = compound_scaled(ResNet34, 224, COMPOUNDS["fast"], 32)
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

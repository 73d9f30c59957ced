"""A plain convolutional network: the smallest with all roles."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.errors import TransferError
from transfer.models.convolution import BACKENDS, Convolution, select_backend
from transfer.models.inputs import ImageInputs, InputSpec
from transfer.models.layers import DTYPES, Linear, exact

# Half of what a rectifier reads is lost (He et al., arXiv 1502.01852).
_RECTIFIED = math.sqrt(2.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CNNConfig:
    """A 3x3 stem and `layers` 3x3 convolutions of stride 2, all of `width` channels, no norms."""

    reads: ClassVar[str] = "images"
    kind: str = dataclasses.field(default="cnn", init=False)
    width: int = 32
    layers: int = 2
    image_channels: int = 1
    classes: int = 10
    zero_init_readout: bool = False
    dtype: str = "float32"
    convolution: str = ""

    def __post_init__(self) -> None:
        for name in ("width", "layers", "image_channels", "classes"):
            if getattr(self, name) < 1:
                raise TransferError(
                    f"model.{name} is {getattr(self, name)}; expected a whole number of at least 1."
                )
        for name, known in (("dtype", DTYPES), ("convolution", ("", *BACKENDS))):
            if getattr(self, name) not in known:
                raise TransferError(
                    f'model.{name} "{getattr(self, name)}" is unknown; expected one of '
                    f"{', '.join(filter(None, known))}."
                )

    @property
    def description(self) -> str:
        """The shape in words, but for the width."""
        return f"{self.layers} convolutions"

    def require_fit(self, inputs: InputSpec) -> None:
        """Raise `TransferError` unless the model has the images' channels and enough classes."""
        assert isinstance(inputs, ImageInputs)  # `Experiment` pairs a model with what it reads
        inputs.require_channels_and_classes(self.image_channels, self.classes)

    def build(self, rngs: nnx.Rngs) -> "CNN":
        """Make the module."""
        return CNN(self, rngs)

    def plain(self, *, zero_init: bool = False) -> "CNNConfig":
        """The same shape in float32; the readout may start at zero."""
        return dataclasses.replace(self, dtype="float32", zero_init_readout=zero_init)

    def on(self, platform: str, inputs: jax.ShapeDtypeStruct) -> "CNNConfig":
        """The same with the convolution that a platform has, unless one is set."""
        return dataclasses.replace(self, convolution=self.convolution or select_backend(platform))

    def example(self, key: jax.Array) -> jax.Array:
        """Four random images, of 2 pixels each way after the last convolution."""
        size = 2 ** (self.layers + 1)
        return jax.random.normal(key, (4, size, size, self.image_channels))


class CNN(nnx.Module):
    """Images (B, H, W, C) to logits (B, classes) in float32 or better."""

    def __init__(self, config: CNNConfig, rngs: nnx.Rngs):
        width, dtype, backend = config.width, jnp.dtype(config.dtype), config.convolution
        self.stem = Convolution(rngs, 3, config.image_channels, width, dtype=dtype, backend=backend)
        self.layers = nnx.List(
            Convolution(
                rngs, 3, width, width, stride=2, gain=_RECTIFIED, dtype=dtype, backend=backend
            )
            for _ in range(config.layers)
        )
        self.readout = Linear(
            rngs,
            "channels -> classes",
            (width,),
            (config.classes,),
            gain=0.0 if config.zero_init_readout else 1.0,
            dtype=dtype,
            accumulate=exact(dtype),
        )

    def __call__(self, images_BHWC: jax.Array) -> jax.Array:
        """Map images (B, H, W, C) to logits (B, classes)."""
        x_BHWC = jax.nn.relu(self.stem(images_BHWC))
        for layer in self.layers:
            x_BHWC = jax.nn.relu(layer(x_BHWC))
        return self.readout(jnp.mean(x_BHWC.astype(exact(x_BHWC.dtype)), axis=(1, 2)))

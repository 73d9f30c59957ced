"""A plain multilayer perceptron: the smallest model with all roles."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from transfer.errors import TransferError
from transfer.models import variables
from transfer.models.layers import DTYPES, Linear

ACTIVATIONS = {"gelu": jax.nn.gelu, "relu": jax.nn.relu, "tanh": jnp.tanh, "linear": lambda x: x}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """`features` inputs, `layers` hidden layers of size `width`, `outputs` outputs."""

    width: int = 128
    layers: int = 2
    features: int = 16
    outputs: int = 1
    activation: str = "gelu"
    biases: bool = False
    zero_init_readout: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("width", "layers", "features", "outputs"):
            if getattr(self, name) < 1:
                raise TransferError(
                    f"model.{name} is {getattr(self, name)}; expected a whole number of at least 1."
                )
        if self.activation not in ACTIVATIONS:
            raise TransferError(
                f'model.activation "{self.activation}" is unknown; expected one of '
                f"{', '.join(ACTIVATIONS)}."
            )
        if self.dtype not in DTYPES:
            raise TransferError(
                f'model.dtype "{self.dtype}" is unknown; expected one of {", ".join(DTYPES)}.'
            )

    def build(self, rngs: nnx.Rngs) -> "MLP":
        """Make the module."""
        return MLP(self, rngs)

    def plain(self, *, zero_init: bool = False) -> "MLPConfig":
        """The same shape in float32; the readout may start at zero."""
        return dataclasses.replace(self, dtype="float32", zero_init_readout=zero_init)

    def example(self, key: jax.Array) -> jax.Array:
        """Four random inputs."""
        return jax.random.normal(key, (4, self.features))


class Dense(nnx.Module):
    """A linear map with an optional bias."""

    def __init__(
        self,
        rngs: nnx.Rngs,
        axes: tuple[str, str],
        sizes: tuple[int, int],
        *,
        biases: bool,
        gain: float,
        dtype: jnp.dtype,
    ):
        source, target = axes
        self.linear = Linear(
            rngs, f"{source} -> {target}", sizes[:1], sizes[1:], gain=gain, dtype=dtype
        )
        self.bias = variables.constant(target, sizes[1:], 0.0) if biases else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (..., inputs) to (..., outputs)."""
        y = self.linear(x)
        return y if self.bias is None else y + self.bias[...].astype(y.dtype)


class MLP(nnx.Module):
    """Features (..., features) to outputs (..., outputs), through `layers` nonlinear layers."""

    def __init__(self, config: MLPConfig, rngs: nnx.Rngs):
        names = ["features", *(f"hidden{i}" for i in range(config.layers)), "outputs"]
        sizes = [config.features, *[config.width] * config.layers, config.outputs]
        pairs = zip(itertools.pairwise(names), itertools.pairwise(sizes), strict=True)
        self.layers = nnx.List(
            Dense(
                rngs,
                axes,
                size,
                biases=config.biases,
                gain=0.0 if config.zero_init_readout and axes[1] == "outputs" else 1.0,
                dtype=jnp.dtype(config.dtype),
            )
            for axes, size in pairs
        )
        self.activation = ACTIVATIONS[config.activation]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (..., features) to (..., outputs)."""
        *hidden, readout = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return readout(x)

"""Layouts of user models, inferred from what their forward pass does with every parameter."""

from transfer.tracing.infer import infer_layout
from transfer.tracing.intermediates import sublayer_gains
from transfer.tracing.rescale import rescale_init

__all__ = ["infer_layout", "rescale_init", "sublayer_gains"]

"""Layouts of models of one's own: what their forward pass does with every parameter."""

from transfer.tracing.infer import infer_layout
from transfer.tracing.rescale import rescale_init
from transfer.tracing.sublayers import sublayer_gains

__all__ = ["infer_layout", "rescale_init", "sublayer_gains"]

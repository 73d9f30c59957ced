"""Layouts of models of one's own: what their forward pass does with every parameter."""

from transfer.inference.infer import infer_layout
from transfer.inference.rescale import rescale_init
from transfer.inference.sublayers import sublayer_gains

__all__ = ["infer_layout", "rescale_init", "sublayer_gains"]

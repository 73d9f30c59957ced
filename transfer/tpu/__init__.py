"""TPU chips and slices as data; no TPU needs to be attached.

Example:
  >>> Topology.parse("v5p:8x8x8").chips
  512
"""

from transfer.tpu.chips import CHIPS, Chip
from transfer.tpu.topology import Topology

__all__ = ["CHIPS", "Chip", "Topology"]

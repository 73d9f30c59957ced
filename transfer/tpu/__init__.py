"""What TPU chips can do, and slices of them that need not be there.

Example:
  >>> Topology.parse("v5p:8x8x8").chips
  512
"""

from transfer.tpu.chips import CHIPS, Chip
from transfer.tpu.topology import Topology

__all__ = ["CHIPS", "Chip", "Topology"]

"""A sweep on a cluster: every group is a task of its own, on the part that it needs.

Ray finds the place, starts the processes of a group and notices when one is gone. What goes into
the run directory is written here, by the one process that the sweep was started in.
"""

from transfer.sweep.cluster.connection import connected
from transfer.sweep.cluster.launcher import run_on_cluster
from transfer.sweep.cluster.share import Share, Wish

__all__ = ["Share", "Wish", "connected", "run_on_cluster"]

"""A sweep on a cluster: every group is a task of its own, on the part that it needs.

Ray finds the place, starts the processes of a group and notices when one is gone. What goes into
the run directory is written here, by the one process that the sweep was started in.
"""

from transfer.sweeps.ray.connection import connected
from transfer.sweeps.ray.launcher import RayLauncher, run_on_cluster
from transfer.sweeps.ray.resources import ResourceRequest, Resources

__all__ = ["RayLauncher", "ResourceRequest", "Resources", "connected", "run_on_cluster"]

"""How many machines share the TPU slice of this one, which on Cloud TPU VMs a server tells."""

import os
import urllib.request
from pathlib import Path

_SECONDS = 5


def has_tpu() -> bool:
    """Whether TPU chips are attached to this machine."""
    return any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))


def hosts() -> int:
    """Return how many machines the slice has: 1 where nobody says.

    Asked is the metadata server that `jax.distributed.initialize` asks too.
    """
    if not has_tpu() or "TPU_SKIP_MDS_QUERY" in os.environ:
        return 1
    server = os.environ.get("GCE_METADATA_IP", "metadata.google.internal")
    request = urllib.request.Request(
        f"http://{server}/computeMetadata/v1/instance/attributes/worker-network-endpoints",
        headers={"Metadata-Flavor": "Google"},
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with directly.open(request, timeout=_SECONDS) as answer:
            return len(answer.read().decode().split(","))
    except OSError:
        return 1

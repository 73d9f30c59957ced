"""What networks cost as they grow: `python -m experiments.compound_scaling.run`.

Writes `counts.parquet`, one row per network, way of scaling and growth, `growth.png` and
`verdict.json` beside this file, and prints the tables of the README. Nothing is trained and nothing
allocated: the counts are those of traces.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.compound_scaling.figure import growth_figure
from experiments.compound_scaling.judge import judge
from experiments.compound_scaling.summary import summary
from transfer.cli import platform
from transfer.models import ResNetConfig, count
from transfer.models.resnet import compound_scaled
from transfer.report.style import to_png
from transfer.scaling.compound import COMPOUNDS

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "counts.parquet"
GROWTHS = (1, 2, 4, 8, 16, 32, 64)
# A configuration and the pixels of its images. With the backend `xla` a convolution is one
# operation, which is traced sooner than its windows one by one; the counts are the same.
NETWORKS = {
    "ResNet-50": (
        ResNetConfig(
            stages=(3, 4, 6, 3),
            block="bottleneck",
            stem="imagenet",
            classes=1000,
            convolution="xla",
        ),
        224,
    ),
    "ResNet-20": (ResNetConfig(width=16, stages=(3, 3, 3), convolution="xla"), 32),
}


def counted(network: str, scaling: str, growth: float) -> dict[str, Any]:
    """The row of one network, grown by one way of scaling to so many times its FLOPs."""
    config, resolution = compound_scaled(*NETWORKS[network], COMPOUNDS[scaling], growth)
    image = jax.ShapeDtypeStruct((1, resolution, resolution, config.image_channels), "float32")
    counts = count(config, image)
    return {
        "network": network,
        "scaling": scaling,
        "growth": growth,
        "width": config.width,
        "stages": list(config.stages),
        "resolution": resolution,
        "parameters": counts.parameters,
        "flops": counts.flops,
        "activations": counts.activations,
    }


def asked() -> Sequence[tuple[str, str, float]]:
    """Arguments of `counted` for all of the table."""
    return [
        (network, scaling, growth)
        for network in NETWORKS
        for scaling in COMPOUNDS
        for growth in GROWTHS
    ]


def main() -> None:
    """Count, write the table, the figure and the verdict, print the summary."""
    table = [counted(*row) for row in track(asked(), description="networks")]
    pq.write_table(pa.Table.from_pylist(table), TABLE)
    verdict = judge(table)
    (HERE / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
    (HERE / "growth.png").write_bytes(to_png(growth_figure(table, verdict)))
    print(summary(table, verdict))


if __name__ == "__main__":
    platform.prepare()
    main()

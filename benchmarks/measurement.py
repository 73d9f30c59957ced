"""What is measured of a population while it trains against one step of its training.

Divided by `training.spectrum_every` it is the share of training time.
"""

from benchmarks.options import Options
from benchmarks.project import prepare, text_batches, transformer
from benchmarks.results import Part
from benchmarks.side_by_side import compare

STEPS = 5


def measure(part: Part, options: Options) -> None:
    batches, _ = text_batches(STEPS)
    # Width 64 is decomposed, the others are followed by Lanczos.
    for width, layers in ((64, 2), (128, 3), (256, 4)):
        trained = prepare(transformer(width, layers), 1, batches=batches)
        compare(
            part,
            f"width {width}, {layers} layers: measuring / one step",
            lambda trained=trained: trained.measure(STEPS),
            lambda trained=trained: trained.train(STEPS),
            options,
        )

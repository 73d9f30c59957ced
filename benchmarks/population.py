"""A population against its trials one by one, and vectorized against in turn."""

from benchmarks.options import Options
from benchmarks.project import prepare, text_batches, transformer
from benchmarks.results import Part
from benchmarks.side_by_side import compare

TRIALS, STEPS, LAYERS = 8, 10, 2


def measure(part: Part, options: Options) -> None:
    batches, _ = text_batches(STEPS)
    for width in (16, 64):
        model = transformer(width, LAYERS)
        vectorized, in_turn, one = (
            prepare(model, trials, batches=batches, execution=execution)
            for execution, trials in (("vectorized", TRIALS), ("in_turn", TRIALS), ("in_turn", 1))
        )
        compare(
            part,
            f"width {width}: {TRIALS} trials vectorized / in turn",
            lambda each=vectorized: each.train(STEPS),
            lambda each=in_turn: each.train(STEPS),
            options,
        )
        compare(
            part,
            f"width {width}: {TRIALS} trials together / {TRIALS} alone",
            lambda each=in_turn: each.train(STEPS),
            lambda each=one: [each.train(STEPS) for _ in range(TRIALS)],
            options,
        )

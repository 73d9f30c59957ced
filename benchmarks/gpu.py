"""What one NVIDIA GPU gives, in at most 10 minutes: `python -m benchmarks.gpu --out=gpu.md`.

Step time and MFU at width 2048, trials per second and where the device is full, Lanczos against a
decomposition, and a sweep of nine trials against torch, all in bfloat16 but for the singular
values. Each number goes to the file once it is known, and a part that fails leaves the others
alone. `--tiny` runs all of it but torch.compile within a minute on two cores of a CPU, to see that
it runs. It has not been run on a GPU yet.
"""

import argparse
import dataclasses
import importlib.metadata
import itertools
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from transfer import sharding
from transfer.cli import platform
from transfer.config import Experiment, read
from transfer.plan import step_flops
from transfer.probes import initial_vectors, measure_spectrum
from transfer.scaling import Annotated, Axes, Layout
from transfer.training import TrialSpec, build_population, group_mesh

SECONDS = 600.0
# Dense bfloat16 FLOP/s by the name of the device; NVIDIA's data sheets.
PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
# One more doubling of the trials that gives less than this is not worth its memory.
FULL = 1.1
# Part, what is measured, number, unit.
Row = tuple[str, str, float | str, str]


@dataclasses.dataclass(frozen=True)
class Size:
    """How large everything is."""

    width: int = 2048
    layers: int = 8
    head_dim: int = 128
    tokens: int = 1024
    vocabulary: int = 32768
    batch: int = 16
    product: int = 8192
    trial_widths: tuple[int, ...] = (64, 128, 256, 512)
    most_trials: int = 256
    matrix: int = 4096
    sweep_width: int = 64
    sweep_rates: int = 9
    sweep_steps: int = 200
    torch_compiles: bool = True


TINY = Size(
    width=64,
    layers=2,
    head_dim=16,
    tokens=32,
    vocabulary=256,
    batch=2,
    product=256,
    trial_widths=(16,),
    most_trials=4,
    matrix=128,
    sweep_width=16,
    sweep_rates=3,
    sweep_steps=10,
    torch_compiles=False,
)


class Trained:
    """A group's compiled program and what it is given: trials that differ in learning rate."""

    def __init__(self, experiment: Experiment, trials: int):
        recipe = experiment.recipe.build()
        rates = (2.0 ** -(4 + k / 4) for k in range(trials))
        specs = [
            TrialSpec(
                dataclasses.replace(experiment.hyperparameters, learning_rate=rate), 0, recipe
            )
            for rate in rates
        ]
        group = experiment.group(experiment.model.width, specs)
        mesh = group_mesh(group, devices=jax.devices()[:1])
        built = build_population(group, mesh)
        self.flops = trials * step_flops(built.population, built.batch)
        self.steps = built.chunk
        started = time.perf_counter()
        self._compiled = built.population.compile(
            built.trials, built.batches, built.eval_batches(1)
        )
        self.seconds_to_compile = time.perf_counter() - started
        self._trials = jax.device_put(built.inputs, sharding.per_trial(mesh))
        tokens = np.random.default_rng(0).integers(
            0, experiment.model.vocabulary, built.batches.shape, np.int32
        )
        self._batches = jax.device_put(tokens, sharding.batches(mesh))

    def seconds(self) -> float:
        """Of one step of all trials: the median of three calls, after one that is not counted."""
        state, taken = self._compiled.init(self._trials), []
        for _ in range(4):
            started = time.perf_counter()
            state, history = self._compiled.run(
                state, self._trials, self._batches, np.int32(self.steps)
            )
            jax.block_until_ready(history)
            taken.append((time.perf_counter() - started) / self.steps)
        return statistics.median(taken[1:])


def decoder(width: int, size: Size | None = None, **training: object) -> Experiment:
    """The wide decoder of a size, or a narrow one as `benchmarks.peers` trains it in torch."""
    layers, head_dim, vocabulary, tokens, batch = 3, 16, 256, 64, 16
    if size is not None:
        layers, head_dim, vocabulary = size.layers, size.head_dim, size.vocabulary
        tokens, batch = size.tokens, size.batch
    return read(
        {
            "base_width": head_dim,
            "model": {
                "width": width,
                "layers": layers,
                "head_dim": head_dim,
                "vocabulary": vocabulary,
                "dtype": "bfloat16",
            },
            "data": {"name": "synthetic", "sequence_length": tokens, "batch_size": batch},
            "training": {"steps": 10, "log_every": 10, "warmup": 2} | training,
        }
    )


def step(size: Size, left: Callable[[], float]) -> Iterator[Row]:
    """One trial at the large width, at the largest batch that fits."""
    name = jax.devices()[0].device_kind
    peak = next((peak for kind, peak in PEAKS.items() if kind in name), None)
    product = 2.0 * size.product**3 / _product_seconds(size.product)
    yield "step", f"product of {size.product}", product / 1e12, "TFLOP/s"
    for batch in (size.batch // 2**k for k in range(size.batch.bit_length())):
        try:
            trained = Trained(decoder(size.width, dataclasses.replace(size, batch=batch)), 1)
            seconds = trained.seconds()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or batch == 1:
                raise
            continue
        what = f"width {size.width}, {size.layers} layers, {batch} x {size.tokens} tokens"
        yield "step", f"{what}: compile", trained.seconds_to_compile, "s"
        yield "step", f"{what}: step", 1e3 * seconds, "ms"
        yield "step", f"{what}: of the product's rate", trained.flops / seconds / product, ""
        if peak:
            yield "step", f"{what}: MFU, goal 0.5", trained.flops / seconds / peak, ""
        return


def trials(size: Size, left: Callable[[], float]) -> Iterator[Row]:
    """Trials at once, twice as many each time until the device is full."""
    until = left() - 0.45 * SECONDS
    each = (left() - until) / len(size.trial_widths)
    for place, width in enumerate(size.trial_widths):
        before, one = 0.0, 0.0
        for count in itertools.takewhile(
            lambda count: count <= size.most_trials, (4**k for k in range(10))
        ):
            try:
                rate = count / Trained(decoder(width), count).seconds()
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                yield "trials", f"width {width}: out of memory at", count, "trials"
                break
            one = one or rate
            yield "trials", f"width {width}, {count} at once: trial-steps", rate, "1/s"
            if count > 1:
                yield "trials", f"width {width}, {count} at once / one", rate / one, ""
            # Four times as many are two doublings.
            if count > 1 and rate < FULL**2 * before:
                yield "trials", f"width {width}: full at", count // 4, "trials"
                break
            before = rate
            if left() < until + each * (len(size.trial_widths) - 1 - place):
                yield "trials", f"width {width}: stopped for time after", count, "trials"
                break


def spectrum(size: Size, left: Callable[[], float]) -> Iterator[Row]:
    """The largest singular value of a Gaussian matrix in float32, 16 pairs of Lanczos."""
    n = size.matrix
    layout = Layout.compare(base=_matrix(n), probe=_matrix(2 * n), target=_matrix(n))
    weight = jax.random.normal(jax.random.key(0), (n, n))
    start = initial_vectors(layout, 1, jax.random.key(1))
    lanczos = jax.jit(
        lambda weight: measure_spectrum({"w": weight}, layout, start, pairs=16).values["w"]
    )
    svd = jax.jit(lambda weight: jnp.linalg.svd(weight, compute_uv=False))
    fast, slow = _seconds(lambda: lanczos(weight)), _seconds(lambda: svd(weight))
    error = 1.0 - float(jnp.max(lanczos(weight)) / svd(weight)[0])
    yield "spectrum", f"Lanczos, {n} x {n}", 1e3 * fast, "ms"
    yield "spectrum", f"jnp.linalg.svd, {n} x {n}", 1e3 * slow, "ms"
    yield "spectrum", "jnp.linalg.svd / Lanczos", slow / fast, ""
    yield "spectrum", "Lanczos, relative error", error, ""


def sweep(size: Size, left: Callable[[], float]) -> Iterator[Row]:
    """Learning rates of a sweep at once, and one after another in torch."""
    steps, count = size.sweep_steps, size.sweep_rates
    what = f"{count} rates x {steps} steps at width {size.sweep_width}"
    trained = Trained(decoder(size.sweep_width, steps=steps, log_every=steps), count)
    ours = trained.seconds_to_compile + steps * trained.seconds()
    yield "sweep", f"{what}: this library, compiling included", ours, "s"
    yield "sweep", f"{what}: of which compiling", trained.seconds_to_compile, "s"
    try:
        import torch

        from benchmarks.peers import decoder as peer
        from benchmarks.peers import training
    except ImportError as error:
        yield "sweep", f"{what}: torch", f"skipped: {error.name} is not installed", ""
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ways = {"torch, eager": lambda model: model}
    if size.torch_compiles:
        ways["torch.compile"] = torch.compile
    for name, wrap in ways.items():
        started = time.perf_counter()
        # A compiled model serves all trials, because each is drawn in its place.
        model = peer.Decoder(size.sweep_width).to(device)
        loss, tokens = wrap(model), torch.randint(0, 256, (16, 65), device=device)
        for k in range(count):
            optimizer = training.start(model, 2.0 ** -(4 + k / 4))
            loop = training.Training(model, loss, optimizer, steps)
            with torch.autocast(device, torch.bfloat16):
                loop.run(tokens for _ in range(steps))
            if left() < 0:
                yield "sweep", f"{what}: {name}", f"stopped for time after {k + 1} trials", ""
                break
        else:
            theirs = time.perf_counter() - started
            yield "sweep", f"{what}: {name}", theirs, "s"
            yield "sweep", f"{name} / this library", theirs / ours, ""


PARTS = (step, trials, spectrum, sweep)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu.md"))
    arguments.add_argument("--tiny", action="store_true")
    given = arguments.parse_args()
    size, ends = TINY if given.tiny else Size(), time.monotonic() + SECONDS
    with given.out.open("w") as file:

        def write(line: str) -> None:
            print(line, flush=True)
            print(line, file=file, flush=True)

        versions = ", ".join(f"{name} {_version(name)}" for name in ("jax", "flax", "torch"))
        write(f"{jax.devices()[0].device_kind}, {versions}\n")
        write("| part | what | number | unit |\n| --- | --- | --- | --- |")
        for part in PARTS:
            try:
                for row in part(size, lambda: ends - time.monotonic()):
                    write(f"| {' | '.join(map(_text, row))} |")
            except Exception as error:  # whatever it is, the other parts may work
                said = str(error).splitlines() or [""]
                write(f"| {part.__name__} | failed: {type(error).__name__}: {said[0][:200]} | | |")


def _product_seconds(n: int) -> float:
    matrix = jnp.ones((n, n), jnp.bfloat16)
    return _seconds(jax.jit(lambda: matrix @ matrix))


def _seconds(function: Callable[[], object]) -> float:
    """The median of five calls after the first, which compiles."""
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        jax.block_until_ready(function())
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def _matrix(n: int) -> dict[str, Annotated]:
    return {"w": Annotated(axes=Axes.parse("embed -> ffn"), shape=(n, n), gain=1.0)}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


if __name__ == "__main__":
    platform.prepare()
    main()

"""What is compiled for which slice, by the part of the claim that it is for."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from transfer.cli.shipped import shipped_file
from transfer.config import Experiment, read, template
from transfer.training import TrialGroup, TrialSpec

COUNTS = (4, 16, 64)
# Tokens that a chip sees at once, and the width, where depth grows.
DEEP_TOKENS, DEEP_WIDTH, CHIPS = 1024, 512, 64


@dataclasses.dataclass(frozen=True)
class Asked:
    """A program: what it is for, its slice, how many trials, and settings by their keys."""

    part: str
    topology: str
    trials: int = 1
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def experiment(self) -> Experiment:
        """Of the 7-billion-parameter configuration, or of the template."""
        config = _large() if self.part == "7B" else template()
        config.update_from_flattened_dict(dict(self.settings))
        return read(config)

    @property
    def group(self) -> TrialGroup:
        """Trials of one seed and as many learning rates."""
        made = self.experiment
        recipe = made.recipe.build()
        points = (
            dataclasses.replace(made.hyperparameters, learning_rate=2.0 ** -(4 + k / 16))
            for k in range(self.trials)
        )
        return made.group(made.model.width, [TrialSpec(point, 0, recipe) for point in points])


def asked() -> Iterator[Asked]:
    """All programs, quick ones first."""
    small = _decoder(width=128, layers=2, time=128, batch=16, vocabulary=512)
    for execution in ("vectorized", "in_turn"):
        turn = small | {"training.execution": execution}
        for trials in COUNTS:
            yield Asked("trials", "v5p:2x2x1", trials, turn)
        yield Asked("trial axis", "v5p:4x4x4", 128, turn)
        yield Asked("trial axis", "v6e:16x16", 512, turn)
    for trials, sides in zip(COUNTS, ("2x2x1", "2x2x4", "4x4x4"), strict=True):
        yield Asked("one a chip", f"v5p:{sides}", trials, small)
    for layers in COUNTS:
        deep = _decoder(DEEP_WIDTH, layers, 512, DEEP_TOKENS * CHIPS // 512, 1024)
        yield Asked("depth", "v5p:4x4x4", 1, deep | {"mesh.fsdp": CHIPS})
    wide = _decoder(2048, 16, 1024, 256, 32768) | {"model.feed_forward_multiple": 2.625}
    yield Asked("width 2048", "v5p:4x4x4", 1, wide | {"mesh.fsdp": CHIPS})
    yield Asked("7B", "v5p:4x4x4", 1, {"mesh.fsdp": CHIPS})
    yield Asked("7B", "v6e:16x16", 1, {"mesh.fsdp": 256, "data.batch_size": 256})


def _decoder(width: int, layers: int, time: int, batch: int, vocabulary: int) -> dict[str, Any]:
    return {
        "base_width": 128,
        "model.width": width,
        "model.layers": layers,
        "model.head_dim": 128,
        "model.vocabulary": vocabulary,
        "model.remat": "full",
        "data.sequence_length": time,
        "data.batch_size": batch,
    }


def _large() -> Any:
    content: dict[str, Any] = {}
    with shipped_file("transformer_7b").open() as file:
        exec(compile(file.read(), file.name, "exec"), content)
    return content["get_config"]()

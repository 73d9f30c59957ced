"""What to do, in words: for a file, and for terminals of any width."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from transfer.analysis import (
    AdviceText,
    SweepVerdict,
    TargetRow,
    TargetValues,
    judge,
)
from transfer.run_directory import SPECTRUM_SCHEMA

GRID = [float(k) for k in range(-9, -3)]
ROW = TargetRow(
    role="hidden",
    parameters=("blocks.up.kernel", "blocks.gate.kernel", "blocks.down.kernel"),
    learning_rate=2**-10.4,
    weight_decay=0.4,
    epsilon=1.25e-9,
    init_std=0.03125,
    multiplier=1.0,
)
LOGITS = TargetRow(
    role="attention logits",
    parameters=("blocks.logits",),
    learning_rate=None,
    weight_decay=None,
    epsilon=None,
    init_std=None,
    multiplier=0.25,
)
ADVICE = AdviceText(
    sentence="At width 1024 use learning rate 0.048 (2^-4.4) and decay 0.1 under mup+sqrt.",
    warnings=("decay undecided: its interval is wide.",),
    notes=("Tentative: 2 seeds, 2 widths.",),
    values=TargetValues(width=1024, optimizer="adamw", settings={"b1": 0.9}, rows=(ROW, LOGITS)),
    assumed=("the optimum at width 64, moved unchanged",),
)
TABLE = """\
role              learning rate        decay  epsilon   init std  multiplier
hidden            0.0007401 (2^-10.4)  0.4    1.25e-09  0.03125   1
  blocks.up.kernel, blocks.gate.kernel and 1 more
attention logits  -                    -      -         -         0.25
  blocks.logits
"""


def shown(columns):
    console = Console(width=columns, file=io.StringIO())
    console.print(ADVICE)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def test_a_file_gets_a_line_for_each_sentence_and_the_table():
    assert str(ADVICE) == (
        "At width 1024 use learning rate 0.048 (2^-4.4) and decay 0.1 under mup+sqrt.\n"
        "Warning: decay undecided: its interval is wide.\n"
        "Tentative: 2 seeds, 2 widths.\n"
        "At width 1024, absolute values for adamw with b1 0.9:\n"
        f"{TABLE}"
        "Assumed:\n"
        "  the optimum at width 64, moved unchanged"
    )


def test_a_terminal_of_80_columns_shows_the_table():
    assert TABLE in shown(80)


def test_a_narrow_terminal_shows_a_sentence_for_each_row():
    text = shown(44)

    assert all(len(line) <= 44 for line in text.splitlines())
    words = " ".join(text.split())
    assert (
        "hidden: learning rate 0.0007401 (2^-10.4), decay 0.4, epsilon 1.25e-09, init std 0.03125, "
        "multiplier 1; blocks.up.kernel, blocks.gate.kernel and 1 more "
        "attention logits: multiplier 0.25; blocks.logits"
    ) in words
    assert "Warning: decay undecided" in words


@pytest.fixture(scope="module")
def swept(sweep):
    def bowl(centre):
        return lambda width, rate, decay: (
            3.0 - 0.1 * (width == 128) + 0.1 * (rate - centre(width)) ** 2
        )

    still = sweep(noise=0.001)(bowl(lambda width: -6), [32, 64, 128], GRID, seeds=3)
    moving = sweep(recipe="standard", rates="uniform", decay="constant", noise=0.001)(
        bowl(lambda width: -4.6 - (width // 64)), [32, 64, 128], GRID, seeds=3
    )
    return moving + still


def test_the_recipe_that_transfers_is_advised_first(swept):
    verdict = judge(swept, SPECTRUM_SCHEMA.empty_table(), task="", provenance={})

    first, second = verdict.advice
    assert (first.recipe, second.recipe) == ("mup+sqrt", "standard")
    assert (first.width, first.named) == (8 * 128, False)
    assert first.because == "mup+sqrt is advised because its learning rate transfers"
    assert second.because is None
    assert first.prediction.warnings == ()
    assert second.prediction.warnings[0].startswith("learning rate does not transfer: ")


def test_a_target_is_advised_for_and_read_back_exactly(swept):
    verdict = judge(swept, SPECTRUM_SCHEMA.empty_table(), task="", provenance={}, target=256)

    assert {(each.width, each.named) for each in verdict.advice} == {(256, True)}
    assert [each.width for each in verdict.compute.tuning] == [256, 8 * 256]
    filled = dataclasses.replace(
        verdict.advice[0].prediction, at_target=ADVICE.values, notes=("a", "b")
    )
    advice = (dataclasses.replace(verdict.advice[0], prediction=filled), *verdict.advice[1:])
    verdict = dataclasses.replace(verdict, advice=advice)
    text = json.dumps(verdict.to_json(), allow_nan=False)
    assert SweepVerdict.from_json(json.loads(text)) == verdict


def test_an_undecided_optimum_is_answered_by_what_to_add(sweep):
    trials = sweep()(lambda width, rate, decay: -rate, [32, 64], GRID, seeds=2)
    (advice,) = judge(trials, SPECTRUM_SCHEMA.empty_table(), task="", provenance={}).advice

    assert advice.prediction is None
    assert advice.sentence.startswith("At width 512 nothing can be advised yet: ")
    assert "add 2^-3 and 2^-2 above 2^-4 at width 64" in advice.sentence

import dataclasses
import io

import pytest
from cells import cells_of, text_of
from rich.console import Console

from transfer.analysis import AxisRegret, AxisVerdict, Basis, Estimate, Transferability, judge
from transfer.report import spectrum_table, verdict_html, verdict_table, verdict_text
from transfer.report.axes import claim, claims
from transfer.report.sublayers import invariance


@pytest.fixture(scope="module")
def verdict(run):
    return judge(run.trials(), run.spectrum(), task="", provenance={})


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_fits_a_narrow_terminal(verdict, columns):
    console = Console(width=columns, file=io.StringIO())

    console.print(verdict_table(verdict))

    text = console.file.getvalue()
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    for recipe, judged in verdict.recipes.items():
        assert f"{recipe}: " in text
        assert " ".join(judged.answer.reason.split()) in " ".join(text.split())
    rows = [line.split()[0] for line in text.splitlines() if line.split()[:1]]
    # In a table of each recipe, and in that of all that was trained.
    assert all(rows.count(width) == 3 + 1 for width in ("32", "64", "128", "256"))
    assert rows.count("512") == 1


def test_the_words_match_the_verdict(verdict):
    console = Console(width=80, file=io.StringIO())

    console.print(verdict_table(verdict))

    text = console.file.getvalue()
    assert "mup+sqrt: transfers" in text
    assert "standard: does not transfer" in text


@pytest.mark.parametrize("columns", [60, 80])
def test_the_spectrum_is_shown_with_its_slopes_whole(verdict, columns):
    console = Console(width=columns, file=io.StringIO())

    console.print(spectrum_table(verdict))

    text = console.file.getvalue()
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    # At the point of the grid that is nearest to the optimum.
    told = "mup+sqrt: slope of sigma_1 predicted +0.00 at learning rate 0.0078 (2^-7), "
    assert told in " ".join(text.split())
    assert "not settled" not in text
    for judged in verdict.recipes.values():
        for each in judged.sublayers.values():
            assert f"{each.spectrum.slope.value:+z.2f} [" in text
            assert f"{each.spectrum.values[256]:.2f}" in text
            assert f"{each.invariance.answer} " in text
            assert f"{each.invariance.measured.p.value:z.2f} [" in text


def test_of_runs_that_have_not_settled_the_table_shows_values_and_no_verdict(run):
    young = [dataclasses.replace(trial, decay_times=1.5) for trial in run.trials()]
    verdict = judge(young, run.spectrum(), task="", provenance={})
    console = Console(width=200, file=io.StringIO())

    console.print(spectrum_table(verdict))

    text = console.file.getvalue()
    assert text.count("not settled in all sublayers") == len(verdict.recipes)
    assert text.count("the run at width 32 lasted 1.5 decay times") == len(verdict.recipes)
    assert "2p - 1" not in text
    for judged in verdict.recipes.values():
        for each in judged.sublayers.values():
            assert f"{each.spectrum.slope.value:+z.2f} [" in text


def test_without_singular_values_the_table_says_so(run):
    verdict = judge(run.trials(), run.spectrum().slice(0, 0), task="", provenance={})
    console = Console(width=80, file=io.StringIO())

    console.print(spectrum_table(verdict))

    assert console.file.getvalue().count("no singular values at two widths") == 3


COSTLY = Estimate(0.0123, (0.0081, 0.0204))
ENOUGH = Basis(seeds=3, widths=4, values=6)


def axis_of(name, answer, basis=ENOUGH):
    return AxisVerdict(
        axis=name,
        optima={32: Estimate(-6.0, (-6.2, -5.9)), 64: Estimate(-5.0)},
        slope=Estimate(1.0, (0.8, 1.1)),
        regrets=(AxisRegret(width=64, from_width=32, regret=Estimate(0.01), relative=COSTLY),),
        basis=basis,
        answer=Transferability(answer, "Because."),
    )


def test_a_figure_claims_what_the_verdict_says(verdict):

    def of(answers, basis=ENOUGH):
        recipes = {
            name: dataclasses.replace(
                verdict.recipes[name], axes=(axis_of("weight_decay", answer, basis),)
            )
            for name, answer in answers.items()
        }
        return claim(dataclasses.replace(verdict, recipes=recipes), "weight_decay")

    assert of({"mup+constant": "true", "mup+sqrt": "true", "standard": "false"}) == (
        "The best decay transfers across width under mup+constant and mup+sqrt, not under standard"
    )
    assert of({"mup+sqrt": "true", "standard": "undecided"}) == (
        "The best decay transfers across width under mup+sqrt; undecided under standard"
    )
    assert (
        of({"standard": "false"}) == "The best decay does not transfer across width under standard"
    )
    assert of({"mup+sqrt": "undecided"}) == "The best decay across width: undecided under mup+sqrt"
    assert of({"mup+sqrt": "true"}, Basis(seeds=2, widths=2, values=6)) == (
        "The best decay transfers across width under mup+sqrt (tentative: 2 seeds, 2 widths)"
    )


def test_every_hyperparameter_that_was_swept_has_its_answer_and_its_table(verdict):
    few = Basis(seeds=2, widths=2, values=6)
    judged = dataclasses.replace(
        verdict.recipes["mup+sqrt"],
        axes=(
            axis_of("learning_rate", "true", few),
            axis_of("weight_decay", "false", few),
            dataclasses.replace(axis_of("jointly", "undecided", few), optima={}),
            axis_of("readout_output", "false", few),
        ),
    )
    only = dataclasses.replace(verdict, recipes={"mup+sqrt": judged}, advice=())

    best = judged.optima[0].best_loss, judged.optima[1].best_loss

    assert verdict_text(only).startswith(
        "mup+sqrt: learning rate transfers, decay does not transfer, jointly undecided, "
        "readout output does not transfer, tentative: 2 seeds, 2 widths\n"
        "width  learning rate  95 % interval   loss   regret\n"
        f"32     0.016 (2^-6)   [0.014, 0.017]  {best[0]:.3f}  -\n"
        f"64     0.031 (2^-5)   -               {best[1]:.3f}  +1.23% [+0.81%, +2.04%]\n"
        "learning rate transfers: Because.\n"
        "width  decay  95 % interval   regret\n"
        "32     0.016  [0.014, 0.017]  -\n"
        "64     0.031  -               +1.23% [+0.81%, +2.04%]\n"
        "decay does not transfer: Because.\n"
        "width  regret\n"
        "64     +1.23% [+0.81%, +2.04%]\n"
        "jointly undecided: Because.\n"
        "width  readout output  95 % interval   regret\n"
    )
    assert claims(only) == [
        "The best learning rate transfers across width under mup+sqrt (tentative: 2 seeds, 2 "
        "widths)",
        "The best decay does not transfer across width under mup+sqrt (tentative: 2 seeds, 2 "
        "widths)",
        "The best readout output does not transfer across width under mup+sqrt (tentative: 2 "
        "seeds, 2 widths)",
    ]


def test_sublayers_are_summed_up_in_a_phrase(verdict):
    one = next(iter(verdict.recipes["mup+sqrt"].sublayers.values()))

    def of(words):
        return invariance(
            {
                name: dataclasses.replace(
                    one, invariance=dataclasses.replace(one.invariance, answer=word)
                )
                for name, word in words.items()
            }
        )

    assert of({"up": "invariant", "query": "invariant", "down": "differs"}) == (
        "invariant in 2 of 3 sublayers; differs in down"
    )
    assert of({"up": "not settled", "query": "not settled"}) == "not settled in all sublayers"


def test_terminal_notebook_and_text_show_the_same_cells_and_sentences(verdict):
    console = Console(width=400, file=io.StringIO())
    console.print(verdict_table(verdict))
    terminal, text = console.file.getvalue(), verdict_text(verdict)
    notebook = verdict_html(verdict)

    rows = cells_of(notebook)
    # Four swept widths in a table of each recipe, and a target too in that of all that was trained.
    assert len(rows) == 3 * (1 + 4) + (1 + 5)
    for shown in (terminal, text):
        words = " ".join(shown.split())
        for row in rows:
            assert " ".join(row) in words
        for judged in verdict.recipes.values():
            assert judged.answer.reason in words
            assert judged.answer.reason in text_of(notebook)

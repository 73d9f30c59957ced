import dataclasses
import io

import pytest
from rich.console import Console

from transfer.analysis import judge
from transfer.report import spectrum_table, verdict_table


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_fits_a_narrow_terminal(run, columns):
    verdict = judge(run.trials(), run.spectrum(), task="", provenance={})
    console = Console(width=columns, file=io.StringIO())

    console.print(verdict_table(verdict))

    text = console.file.getvalue()
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    for recipe, judged in verdict["recipes"].items():
        assert f"{recipe}: " in text
        assert " ".join(judged["reason"].split()) in " ".join(text.split())
    rows = [line.split()[0] for line in text.splitlines() if line.split()[:1]]
    assert all(rows.count(width) == 3 for width in ("32", "64", "128", "256", "512"))


def test_the_words_match_the_verdict(run):
    verdict = judge(run.trials(), run.spectrum(), task="", provenance={})
    console = Console(width=80, file=io.StringIO())

    console.print(verdict_table(verdict))

    text = console.file.getvalue()
    assert "mup+sqrt: transfers" in text
    assert "standard: does not transfer" in text
    assert "not tuned" in text


@pytest.mark.parametrize("columns", [60, 80])
def test_the_spectrum_is_shown_with_its_slopes_whole(run, columns):
    verdict = judge(run.trials(), run.spectrum(), task="", provenance={})
    console = Console(width=columns, file=io.StringIO())

    console.print(spectrum_table(verdict))

    text = console.file.getvalue()
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    assert "mup+sqrt: slope of sigma_1 predicted +0.00 at log2 lr" in text
    assert "not settled" not in text
    for judged in verdict["recipes"].values():
        for slope in judged["spectrum_slope"].values():
            assert f"{slope['value']:+z.2f} [" in text
            assert f"{slope['values']['256']:.2f}" in text
            assert f"{slope['invariance']} " in text
            assert f"{slope['p']['value']:z.2f} [" in text


def test_of_runs_that_have_not_settled_the_table_shows_values_and_no_verdict(run):
    young = [dataclasses.replace(trial, decay_times=1.5) for trial in run.trials()]
    verdict = judge(young, run.spectrum(), task="", provenance={})
    console = Console(width=200, file=io.StringIO())

    console.print(spectrum_table(verdict))

    text = console.file.getvalue()
    assert text.count("not settled in all sublayers") == len(verdict["recipes"])
    assert text.count("the run at width 32 lasted 1.5 decay times") == len(verdict["recipes"])
    assert "2p - 1" not in text
    for judged in verdict["recipes"].values():
        for slope in judged["spectrum_slope"].values():
            assert f"{slope['value']:+z.2f} [" in text


def test_without_singular_values_the_table_says_so(run):
    verdict = judge(run.trials(), run.spectrum().slice(0, 0), task="", provenance={})
    console = Console(width=80, file=io.StringIO())

    console.print(spectrum_table(verdict))

    assert console.file.getvalue().count("no singular values at two widths") == 3

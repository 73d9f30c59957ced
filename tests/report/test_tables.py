import io

import pytest
from rich.console import Console

from transfer.analysis import judge
from transfer.report import verdict_table


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

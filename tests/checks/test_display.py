"""How a coordinate check shows itself in a notebook."""

from cells import cells_of, text_of

from transfer.checks import CheckRow, CoordinateCheck
from transfer.scaling import Recipe


def row(name, slope, predicted):
    sizes = {width: [width**slope, width**slope] for width in (64, 256)}
    return CheckRow.of(("update", name, 0), sizes, predicted)


AGREES = row("up", -1.0, (-1.0, -1.0))
DIFFERS = row("<down>", 0.0, (-1.0, -1.0))
SILENT = row("norm", 0.0, None)


def check(*rows, findings=()):
    return CoordinateCheck(Recipe("mup"), "entrywise", (64, 256), rows, findings)


def test_a_check_that_agrees_says_so():
    shown = check(AGREES, SILENT)._repr_html_()

    assert "Agrees: 1 of 1 sizes follow width as mup+sqrt predicts." in text_of(shown)
    assert [row[1] for row in cells_of(shown)] == ["of", "up"]


def test_a_check_that_does_not_says_what_is_wrong_and_shows_it_first():
    shown = check(AGREES, DIFFERS, findings=("The rate of <down> is off.",))._repr_html_()

    assert "Does not agree: 1 of 2 sizes follow" in text_of(shown)
    assert "<p>The rate of &lt;down&gt; is off.</p>" in shown
    assert [row[1] for row in cells_of(shown)] == ["of", "<down>", "up"]
    assert "<down>" not in shown
    # The rows are many, and unfold on demand.
    assert shown.index("<p>The rate") < shown.index("<details><summary>Every size</summary>")

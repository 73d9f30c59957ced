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


UNDECIDED = CheckRow.of(("update", "out", 0), {64: [1.0, 4.0], 256: [4.0, 1.0]}, (0.0, 0.0))


def check(*rows, findings=(), limits=()):
    return CoordinateCheck(Recipe("mup"), "entrywise", (64, 256), rows, findings, limits)


def test_a_check_that_agrees_says_so():
    shown = check(AGREES, SILENT)._repr_html_()

    assert "Agrees: 1 of 1 sizes follow width as mup+sqrt predicts." in text_of(shown)
    assert [row[1] for row in cells_of(shown)] == ["of", "up"]


def test_a_check_that_does_not_says_what_is_wrong_and_shows_it_first():
    shown = check(AGREES, DIFFERS, findings=("The rate of <down> is off.",))._repr_html_()

    assert "Differs: 1 of 2 sizes follow width as mup+sqrt predicts, 1 differ." in text_of(shown)
    assert "<p>The rate of &lt;down&gt; is off.</p>" in shown
    assert [row[1] for row in cells_of(shown)] == ["of", "<down>", "up"]
    assert "<down>" not in shown
    # The rows are many, and unfold on demand.
    assert shown.index("<p>The rate") < shown.index("<details><summary>Every size</summary>")


def test_one_row_that_differs_decides_and_one_that_is_open_leaves_the_check_open():
    assert check(AGREES, SILENT).outcome == "agrees"
    assert check(AGREES, UNDECIDED).outcome == "undecided"
    assert check(AGREES, UNDECIDED, DIFFERS).outcome == "differs"
    # Nothing was judged, which is no agreement.
    assert check(SILENT).outcome == "undecided"
    assert [check(*rows).agrees for rows in ((AGREES,), (UNDECIDED,))] == [True, False]


def test_printed_it_says_sentences_first_and_then_the_rows_behind_them():
    text = str(check(AGREES, UNDECIDED, DIFFERS, findings=("Wrong.",), limits=("Narrow.",)))
    lines = text.splitlines()
    assert lines[0].startswith("Differs: 1 of 3 sizes follow")
    assert lines[1:3] == ["Narrow.", "Wrong."]
    assert [line.split()[1] for line in lines[4:]] == ["<down>", "out"]
    assert " up " not in text
    assert len(str(check(AGREES)).splitlines()) == 1

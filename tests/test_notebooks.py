"""The committed notebooks: run whole and in order, nothing of the machine in them, small enough."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 500_000
# Absolute paths, as they begin on any system, and addresses of objects.
OF_A_MACHINE = re.compile(
    r"(?<![\w.:/])/(?:home|root|tmp|var|opt|usr|work|Users|private|mnt)/"
    r"|[A-Z]:\\|\bat 0x[0-9a-f]{6,}"
)
# Python's warnings have a category, such as UserWarning; a verdict's own begin with the word alone.
NOISE = re.compile(r"\w[Ww]arning|WARNING|Traceback|[Dd]eprecat")


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def texts_of(output):
    """Return everything in an output that is text: streams, data, and what stands for images."""
    if output.output_type == "stream":
        return [output.text]
    shown = [text for kind, text in output.data.items() if kind.startswith("text/")]
    return [*shown, json.dumps(output.metadata)]


def test_there_are_six():
    assert [file.stem[:2] for file in FILES] == ["01", "02", "03", "04", "05", "06"]


def test_a_notebook_is_valid_and_was_run_whole_and_in_order(notebook):
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_nothing_went_wrong_and_nothing_was_muttered(notebook):
    for output in outputs_of(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        for text in texts_of(output):
            assert not NOISE.search(text), text


def test_outputs_tell_nothing_of_the_machine(notebook):
    for output in outputs_of(notebook):
        for text in texts_of(output):
            assert not OF_A_MACHINE.search(text), text
    # Times of day would make every run differ.
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/ann/transfer/runs", True),
        ("runs in /tmp/quick_tour-x1", True),
        ("<RunDirectory at 0x7f04cbb81d50>", True),
        ("C:\\Users\\ann", True),
        ("runs/quick_tour", False),
        ("../experiments/campaign", False),
        ("https://arxiv.org/abs/2510.15262", False),
        ("rms(out)/rms(in), 1/tmp", False),
    ],
)
def test_paths_of_a_machine_are_known_when_seen(text, told):
    assert bool(OF_A_MACHINE.search(text)) == told


def test_a_notebook_shows_figures_with_words_for_them(notebook):
    images = [output for output in outputs_of(notebook) if "image/png" in output.get("data", {})]

    assert images
    for image in images:
        assert base64.b64decode(image.data["image/png"]).startswith(b"\x89PNG")
        assert len(image.metadata["image/png"]["alt"]) > 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_notebook_is_small_enough_to_read_on_the_web(file):
    assert file.stat().st_size < MOST_BYTES


def test_a_notebook_says_how_large_it_is(notebook):
    prose = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "It takes" in prose
    assert "small" in prose or "every size" in prose


def test_cells_are_short_and_prose_goes_between_them(notebook):
    kinds = [cell.cell_type for cell in notebook.cells]

    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= 0.7 * kinds.count("code")
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= 40


def test_links_lead_somewhere(notebook):
    prose = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    local = [
        target
        for target in re.findall(r"\]\(([^)]+)\)", prose)
        if not target.startswith("https://")
    ]
    assert local
    for target in local:
        assert (FOLDER / target.replace("\n", "")).exists(), target


@pytest.mark.parametrize(("asked", "small"), [("small", True), ("full", False)])
def test_a_size_is_asked_for_in_the_environment(asked, small):
    program = "import sizes; print(sizes.size(7, small=1), sizes.folder('a'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=FOLDER,
        env={**os.environ, "NOTEBOOK_SIZE": asked},
        capture_output=True,
        text=True,
        check=True,
    )
    number, folder = done.stdout.split()
    assert number == ("1" if small else "7")
    assert (folder == "runs/a") != small

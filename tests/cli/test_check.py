"""`transfer check`: what it writes, what it prints, and what its exit status tells."""

import json

import pytest

from transfer.checks import CheckRow, CoordinateCheck
from transfer.scaling import Recipe

from .terminal import transfer

WIDTHS = (64, 128)


def made_up(
    name: str, slope: float, findings: tuple[str, ...] = (), apart: float = 0.0
) -> CoordinateCheck:
    """A check of one row with a slope that is predicted to be 0; its seeds are `apart`."""
    sizes = {
        width: [(width / WIDTHS[0]) ** (slope + sign * apart) for sign in (-1, 1)]
        for width in WIDTHS
    }
    row = CheckRow.of(("update", name, 0), sizes, (0.0, 0.0))
    limits = ("Two seeds are few.",) if apart else ()
    return CoordinateCheck(Recipe("mup"), "entrywise", WIDTHS, (row,), findings, limits)


@pytest.fixture
def found(monkeypatch):
    """Replace the measurement by checks to be returned in turn; returns what it was asked for."""
    asked = []

    def replace(*checks):
        def check_coordinates(model, widths, **options):
            asked.append((model, widths, options))
            return checks[len(asked) - 1]

        monkeypatch.setattr("transfer.checks.check_coordinates", check_coordinates)
        return asked

    return replace


def test_a_model_that_follows_its_recipe(config, tmp_path, capsys):
    arguments = (f"--config={config}", f"--run={tmp_path}/run", "--widths=64,256")
    assert transfer("check", *arguments, "--steps=1") == 0

    content = json.loads((tmp_path / "run/report/coordinates.json").read_text())
    assert set(content) == {"random init", "zero init"}
    assert all(check["agrees"] for check in content.values())
    # Queries that start at zero make no logits, random ones do.
    logits = {
        name: next(
            row["slope"]
            for row in check["rows"]
            if (row["quantity"], row["name"]) == ("activation", "contraction 1")
        )
        for name, check in content.items()
    }
    assert logits["zero init"] is None
    assert logits["random init"] is not None
    assert (tmp_path / "run/report/coordinates.png").read_bytes().startswith(b"\x89PNG")
    output = capsys.readouterr().out
    assert "mup+sqrt from random init, widths 64, 256\nAgrees: " in output
    assert "Every slope that is judged agrees with theory." in output
    assert "coordinates.json" in output
    # Sizes that agree are listed on demand.
    assert "predicted" not in output


def test_agreement_is_status_0(config, tmp_path, capsys, found):
    asked = found(made_up("up.kernel", 0.0), made_up("up.kernel", 0.1))
    arguments = (f"--config={config}", f"--run={tmp_path}/run", "--seeds=3", "--all")
    assert transfer("check", *arguments) == 0
    output = capsys.readouterr().out
    assert "Every slope that is judged agrees with theory." in output
    assert output.count("up.kernel") == 0 < output.count("up ")
    # Below 64 sums have too few terms, so that the ladder starts there and not at the base.
    assert [widths for _, widths, _ in asked] == [[64, 128, 256, 512]] * 2
    assert [options["seeds"] for _, _, options in asked] == [3, 3]
    assert all(model.base_width == 8 for model, _, _ in asked)


@pytest.mark.parametrize("wrong", [0, 1])
def test_one_slope_that_differs_is_status_4_and_its_cause_is_printed(
    config, tmp_path, capsys, found, wrong
):
    # What is left open does not hide what is proven.
    checks = [made_up("up.kernel", 0.0, apart=2.0), made_up("up.kernel", 0.0, apart=2.0)]
    checks[wrong] = made_up("up.kernel", 1.0, ("The learning rate is off.",))
    found(*checks)
    assert transfer("check", f"--config={config}", f"--run={tmp_path}/run") == 4
    output = capsys.readouterr().out
    assert "The learning rate is off." in output
    assert "Not every slope agrees with theory." in output
    content = json.loads((tmp_path / "run/report/coordinates.json").read_text())
    outcomes = [check["outcome"] for check in content.values()]
    assert (outcomes[wrong], outcomes[1 - wrong]) == ("differs", "undecided")


def test_what_the_data_leave_open_is_status_3_and_said_before_the_rows(
    config, tmp_path, capsys, found
):
    found(made_up("up.kernel", 0.0), made_up("up.kernel", 0.0, apart=2.0))
    assert transfer("check", f"--config={config}", f"--run={tmp_path}/run") == 3
    output = capsys.readouterr().out
    assert "No slope is proven to differ from theory" in output
    assert output.index("Two seeds are few.") < output.index("predicted")


def test_a_recipe_held_against_another_one_s_predictions(config, tmp_path, capsys):
    arguments = (f"--config={config}", f"--run={tmp_path}/run", "--widths=64,256", "--steps=1")
    assert transfer("check", *arguments, "--config.recipe.name=standard", "--against=mup") == 4
    output = " ".join(capsys.readouterr().out.split())
    assert "standard held against mup+sqrt from random init" in output
    # Under standard a step of AdamW is as large at every width.
    assert "is off by width^+1.0: updates follow width^+0.00, expected width^-1.00" in output

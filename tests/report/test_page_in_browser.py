"""The page in a real browser: offline, by keyboard, in light and dark, on a narrow screen."""

import re

import pytest
from playwright.sync_api import sync_playwright

from .browser import CHROMIUM, opened
from .conftest import GRID, RECIPES, SUBLAYERS, WIDTHS
from .pages import page_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def files(run, decay_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, each in (("run", run), ("decay", decay_run)):
        (folder / f"{name}.html").write_text(page_of(each, configuration={"long": "x" * 300}))
    return folder


@pytest.fixture(scope="module")
def shared(playwright, files, tmp_path_factory):
    """One page for all tests that leave it as it was."""
    profile = tmp_path_factory.mktemp("profile")
    with opened(playwright, files / "run.html", profile) as result:
        yield result


@pytest.fixture
def page(shared):
    return shared.page


def curves(page, figure):
    """How many lines each panel of a figure shows."""
    panels = page.locator(f"#{figure} .panel")
    return [
        panel.locator(".mark-line path").count() for panel in panels.all() if panel.is_visible()
    ]


def press(page, name, key):
    """Go to an input by tab alone, from the top of the page, and press a key there."""
    page.evaluate("document.activeElement.blur(); getSelection().collapse(document.body, 0)")
    for _ in range(200):
        page.keyboard.press("Tab")
        here = "e => document.activeElement === e"
        if page.get_by_label(name, exact=True).first.evaluate(here):
            page.keyboard.press(key)
            return
    raise AssertionError(f"{name} is not reached by tab")


def until(page, condition):
    """Wait for a redraw, which takes milliseconds, until a condition holds."""
    for _ in range(100):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("the page does not change as expected")


def settled(page, figure, expected):
    until(page, lambda: curves(page, figure) == expected)


def test_it_opens_without_a_network_and_without_an_error(shared, files):
    assert shared.requests == [(files / "run.html").as_uri()]
    assert shared.errors == []


def test_a_fetch_would_be_seen_and_is_forbidden(playwright, files, tmp_path):
    """The negative control of the test above."""
    planted = tmp_path / "planted.html"
    content = (files / "run.html").read_text()
    planted.write_text(content.replace("<main>", '<main><img src="https://example.org/a.png">'))
    with opened(playwright, planted, tmp_path / "profile") as result:
        assert any("Content Security Policy" in error for error in result.errors)


def test_every_curve_is_drawn(page):
    assert curves(page, "loss") == [len(WIDTHS)] * len(RECIPES)
    assert curves(page, "optimum") == [len(RECIPES)]
    assert curves(page, "spectrum") == [len(SUBLAYERS) + 1] * len(RECIPES)
    # The target diverged under standard.
    assert curves(page, "curves") == [len(WIDTHS) + 1, len(WIDTHS) + 1, len(WIDTHS)]
    # Lines have length, and stand side by side.
    boxes = [line.bounding_box() for line in page.locator("#loss .mark-line path").all()]
    assert all(box["width"] > 100 for box in boxes)


def test_points_say_what_they_are(page):
    points = page.locator("#loss .panel >> nth=1").locator(".mark-symbol path")
    labels = [point.get_attribute("aria-label") for point in points.all()]
    assert len(labels) >= len(WIDTHS) * len(GRID)
    assert any("width: 64" in label for label in labels)


def test_a_width_is_hidden_and_shown_by_keyboard(page):
    every = [len(WIDTHS)] * len(RECIPES)
    press(page, "64", "Space")
    settled(page, "loss", [count - 1 for count in every])
    assert curves(page, "spectrum") == [len(SUBLAYERS) + 1] * len(RECIPES)
    press(page, "64", "Space")
    settled(page, "loss", every)


def test_a_recipe_is_hidden_and_shown_by_keyboard(page):
    press(page, "standard", "Space")
    settled(page, "loss", [len(WIDTHS)] * 2)
    press(page, "standard", "Space")
    settled(page, "loss", [len(WIDTHS)] * 3)


def test_the_whole_range_is_shown_by_keyboard(page):
    ticks = page.locator("#loss .panel >> nth=0").locator(".role-axis-label text")
    near = ticks.all_inner_texts()
    press(page, "whole range", "Space")
    until(page, lambda: ticks.all_inner_texts() != near)
    press(page, "whole range", "Space")
    until(page, lambda: ticks.all_inner_texts() == near)


def test_focus_is_visible_and_numbers_open_by_keyboard(page):
    summary = page.locator("#loss summary")
    summary.focus()
    page.keyboard.press("Enter")
    table = page.locator("#loss table")
    assert table.is_visible()
    assert table.locator("tbody tr").count() == len(RECIPES) * len(WIDTHS) * len(GRID)
    page.keyboard.press("Tab")
    focused = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert focused == "solid"
    summary.focus()
    page.keyboard.press("Enter")
    assert not table.is_visible()


def test_a_sublayer_is_chosen_and_maps_are_drawn(playwright, files, tmp_path):
    with opened(playwright, files / "decay.html", tmp_path) as result:
        page = result.page
        assert page.locator("#decay .panel").count() == 2
        cells = page.locator("#decay .panel >> nth=0").locator(".mark-rect path")
        assert cells.count() >= 5 * 4
        line = page.locator("#spectrum-training .mark-line path").first
        before = line.get_attribute("d")
        radio = page.locator("#spectrum-training input[type=radio]")
        assert radio.count() == len(SUBLAYERS)
        radio.first.focus()
        page.keyboard.press("ArrowDown")
        until(page, lambda: line.get_attribute("d") != before)
        assert curves(page, "spectrum-training") == [2]
        assert result.errors == []


def lightness(page, selector, what):
    colour = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / (3 * 255)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_follows_the_system_and_the_toggle_overrides_it(playwright, files, tmp_path, theme):
    other = {"light": "dark", "dark": "light"}[theme]

    def looks(page):
        paper = lightness(page, "body", "backgroundColor")
        # Text and marks of the charts follow too.
        text = lightness(page, "#loss .role-axis-label text", "fill")
        assert (paper > 0.5) != (text > 0.5)
        widest = lightness(page, "#loss .mark-line path:last-of-type", "stroke")
        assert abs(widest - paper) > 0.2
        return "light" if paper > 0.5 else "dark"

    with opened(playwright, files / "run.html", tmp_path, theme=theme) as result:
        assert looks(result.page) == theme
        press(result.page, "system", {"light": "ArrowLeft", "dark": "ArrowRight"}[theme])
        assert result.page.locator(f"#theme-{other}").is_checked()
        assert looks(result.page) == other
        assert result.errors == []


@pytest.mark.parametrize("name", ["run", "decay"])
def test_it_fits_a_narrow_screen(playwright, files, tmp_path, name):
    with opened(playwright, files / f"{name}.html", tmp_path, width=360) as result:
        page = result.page
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for chart in page.locator(".chart svg").all():
            box = chart.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
            assert box["width"] > 250
        # Curves have most of the width; under standard the widest diverges half way.
        plots = page.locator("#loss .mark-line path").all()
        assert all(plot.bounding_box()["width"] > 100 for plot in plots)

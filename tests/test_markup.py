"""HTML for notebooks: escaped, with names for rows and columns, and without colours of its own."""

import pytest
from cells import cells_of, tags_of
from hypothesis import given
from hypothesis import strategies as st

from transfer.markup import Html, html_paragraph, html_table

LEFT = 'style="text-align: left"'


def test_a_table_is_exactly_this():
    assert html_table("Roles", [["of", "role"], ["up", "hidden"]]) == "\n".join(
        [
            "<table>",
            '<caption style="text-align: left; caption-side: top; font-weight: bold">Roles'
            "</caption>",
            "<thead>",
            f'<tr><th scope="col" {LEFT}>of</th><th scope="col" {LEFT}>role</th></tr>',
            "</thead>",
            "<tbody>",
            f'<tr><th scope="row" {LEFT}>up</th><td {LEFT}>hidden</td></tr>',
            "</tbody>",
            "</table>",
        ]
    )


# No surrogates and no control characters, which HTML cannot hold.
texts = st.text(st.characters(exclude_categories=("C",)), max_size=12)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4))
def test_every_text_comes_out_as_it_went_in(rows):
    shown = html_table("", rows)

    assert [tuple(row) for row in cells_of(shown)] == rows
    assert tags_of(shown) <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}


def test_markup_in_a_text_is_text():
    hostile = "<script>alert('&')</script>"

    for content in (
        html_table(hostile, [[hostile], [hostile]]),
        html_paragraph(hostile, strong=hostile),
    ):
        assert "<script" not in content
        assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in content


def test_colours_are_left_to_the_page():
    content = html_table("a", [["b"], ["c"]]) + html_paragraph("d", strong="e")

    for word in ("color", "background", "border", "font-family", "class="):
        assert word not in content


@pytest.mark.parametrize("strong", ["", "Agrees:"])
def test_a_paragraph_begins_with_what_stands_out(strong):
    shown = f"<strong>{strong}</strong> " if strong else ""
    assert html_paragraph("Yes.", strong=strong) == f"<p>{shown}Yes.</p>"


def test_markup_shows_itself():
    assert Html("<p>a</p>")._repr_html_() == "<p>a</p>"

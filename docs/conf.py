"""How Sphinx builds the site: the guides beside this file, and the reference from docstrings."""

import transfer

project = "transfer"
author = "The transfer authors"
version = release = transfer.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
templates_path = ["_templates"]
html_theme = "furo"

# Docstrings are written in Markdown's way: `code`.
default_role = "code"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_custom_sections = [("Fields", "params_style"), ("Arguments", "params_style")]
# Guides link to experiments and sources, which lie outside the site.
suppress_warnings = ["myst.xref_missing"]

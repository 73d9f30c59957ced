"""The page of settings is that of the configuration as it stands."""

import importlib.util
import pathlib

FILE = pathlib.Path(__file__).parents[1] / "docs" / "settings.py"


def test_the_page_is_what_the_docstrings_make():
    spec = importlib.util.spec_from_file_location("settings", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.page()
    assert "| `sweep.widths` | a list of whole numbers | `()` |" in page
    assert module.PAGE.read_text() == page, "run `python docs/settings.py`"

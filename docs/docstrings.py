"""Lets the site read `Example:` in docstrings as it reads `Examples:`, which are set as code."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Renames the section in every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename it in one docstring."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")

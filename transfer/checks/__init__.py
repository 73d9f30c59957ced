"""Checks of a model against the theory: does it do at every width what its recipe says?"""

from typing import TYPE_CHECKING

from transfer.checks.coordinates import CoordinateCheck, check, check_coordinates
from transfer.checks.model_under_test import ModelUnderTest, built_in_model, user_model
from transfer.checks.rows import CheckRow
from transfer.renamed import renamed

__all__ = [
    "CheckRow",
    "CoordinateCheck",
    "ModelUnderTest",
    "built_in_model",
    "check",
    "check_coordinates",
    "user_model",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        "transfer.checks",
        {},
        deprecated={
            "Row": "CheckRow",
            "Subject": "ModelUnderTest",
            "built_in": "built_in_model",
            "foreign": "user_model",
        },
    )

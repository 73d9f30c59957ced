"""Checks of a model against the theory: does it do at every width what its recipe says?"""

from transfer.checks.coordinates import CoordinateCheck, check_coordinates
from transfer.checks.own import check
from transfer.checks.rows import Row
from transfer.checks.subject import Subject, built_in, foreign

__all__ = [
    "CoordinateCheck",
    "Row",
    "Subject",
    "built_in",
    "check",
    "check_coordinates",
    "foreign",
]

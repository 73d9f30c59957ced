"""An old public name says the new one; any other missing name is missing as usual."""

import copy
import dataclasses
import types

import pytest

from transfer.renamed import renamed


@dataclasses.dataclass(frozen=True)
class Thing:
    number: int = 1
    __getattr__ = renamed("Thing", {"count": "Thing.number"}, deprecated={"amount": "number"})


def test_an_old_attribute_says_the_new_one():
    with pytest.raises(AttributeError, match=r"^Thing\.count is now Thing\.number\.$"):
        Thing().count  # noqa: B018
    with pytest.raises(AttributeError, match=r"^Thing has no attribute 'cuont'\.$"):
        Thing().cuont  # noqa: B018
    assert not hasattr(Thing(), "count")
    assert copy.deepcopy(Thing(3)) == Thing(3)


def test_a_deprecated_attribute_works_and_warns_where_it_is_used():
    with pytest.warns(DeprecationWarning, match=r"^Thing\.amount is now Thing\.number;") as heard:
        assert Thing(3).amount == 3
    assert [warning.filename for warning in heard] == [__file__]


def test_an_old_name_of_a_module_says_the_new_one():
    module = types.ModuleType("house")
    module.__getattr__ = renamed("house", {"shed": "house.garage"})
    with pytest.raises(AttributeError, match=r"^house\.shed is now house\.garage\.$"):
        module.shed  # noqa: B018

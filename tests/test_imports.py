"""The structure of the package: no two modules import each other, not even for type checkers."""

import collections
import graphlib
import importlib
import inspect
import pkgutil

import grimp

import transfer


def cycle(graph):
    """A circle of modules that import each other, or nothing."""
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def graph_of(tmp_path, monkeypatch, name, **modules):
    folder = tmp_path / name
    folder.mkdir()
    for module, source in {"__init__": "", **modules}.items():
        (folder / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    return grimp.build_graph(name, cache_dir=None)


def test_no_modules_import_each_other():
    graph = grimp.build_graph("transfer", cache_dir=None)
    assert len(graph.modules) > 200
    assert cycle(graph) == []


def test_an_import_for_type_checkers_alone_closes_a_circle(tmp_path, monkeypatch):
    """The negative control of the test above."""
    names = {
        "above": "import circular.below",
        "below": (
            "import typing\nif typing.TYPE_CHECKING:\n    from circular.above import Something"
        ),
    }
    found = cycle(graph_of(tmp_path, monkeypatch, "circular", **names))
    assert {"circular.above", "circular.below"} == set(found)


def test_every_public_class_has_a_name_of_its_own():
    homes = collections.defaultdict(set)
    for module in pkgutil.walk_packages(transfer.__path__, "transfer."):
        for name, found in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(found) and found.__module__ == module.name and name[0] != "_":
                homes[name].add(module.name)
    assert {name: sorted(found) for name, found in homes.items() if len(found) > 1} == {}

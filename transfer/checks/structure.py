"""Which products a forward pass has, under which names, and which of them feed which."""

import dataclasses
from collections.abc import Mapping

from transfer.checks.forward_graph import ForwardGraph
from transfer.scaling import Layout, Role
from transfer.tracing.interpreter import Interpreter
from transfer.tracing.jaxprs import Location

OUTPUT = "output"
LOSS = "loss"


@dataclasses.dataclass(frozen=True)
class Structure:
    """The products of a forward pass by name, in the order in which they are computed.

    Attributes:
      names: the name of each product whose result is measured: the path of its weight, or
        `contraction 1` for what activations do to each other.
      feeds: the products that each name is made from without another in between; those of the
        output are the readouts and what these are made from.
      inner: the maps from the width to a fixed size that feed other products, such as the neck of
        an autoencoder or the router of a mixture. The last map, to the outputs, is none.
      readouts: the maps to the outputs.
    """

    names: Mapping[Location, str]
    feeds: Mapping[str, frozenset[str]]
    inner: tuple[str, ...] = ()
    readouts: tuple[str, ...] = ()

    @classmethod
    def of(cls, interpreter: Interpreter, layout: Layout, graph: ForwardGraph) -> "Structure":
        """Name the products of a forward pass."""
        maps = {
            at
            for at, met in interpreter.products.items()
            if any(_is_matrix(layout, path) for path in met)
        }
        producers = graph.producers([*maps, *interpreter.contractions])
        fed: dict[Location, frozenset[Location]] = {}
        nothing: frozenset[Location] = frozenset()
        for step in graph.steps:
            known = nothing.union(*(producers.get(value, nothing) for value in step.operands))
            for value in step.results:
                for at in producers.get(value, nothing):
                    if at[: len(step.at)] == step.at:
                        fed[at] = known
        feeding = nothing.union(*fed.values()) if fed else nothing
        names: dict[Location, str] = {}
        every: dict[Location, str] = {}
        inner: list[str] = []
        readouts: dict[Location, str] = {}
        for at in sorted(maps):
            met = [path for path in interpreter.products[at] if _is_matrix(layout, path)]
            path = every[at] = "+".join(sorted(met))
            roles = {layout[each].role for each in met}
            again = path in names.values() and any(layout[each].tied for each in met)
            if again or (Role.OUTPUT in roles and at not in feeding):
                readouts[at] = path
            elif Role.OUTPUT in roles:
                inner.append(path)
            # A tied table meets the activations again in the readout, which the output shows.
            measured = roles <= {Role.INPUT, Role.HIDDEN} or at in feeding
            if measured and path not in names.values():
                names[at] = path
        for number, at in enumerate(sorted(interpreter.contractions), 1):
            names[at] = every[at] = f"contraction {number}"
        last = nothing.union(*(producers.get(value, nothing) for value in graph.outputs))
        feeds = {OUTPUT: {every[each] for each in last if each in every}}
        for at, name in every.items():
            before = {every[each] for each in fed.get(at, nothing) if each in every}
            feeds.setdefault(OUTPUT if at in readouts else name, set()).update(before - {name})
        return cls(
            names,
            {name: frozenset(each) for name, each in feeds.items()},
            tuple(dict.fromkeys(inner)),
            tuple(dict.fromkeys(readouts.values())),
        )

    def before(self, name: str) -> frozenset[str]:
        """Return every product that a name, or the output, depends on."""
        found: set[str] = set()
        left = [name]
        while left:
            new = self.feeds.get(left.pop(), frozenset()) - found
            found |= new
            left += new
        return frozenset(found)


def _is_matrix(layout: Layout, path: str) -> bool:
    return layout[path].axes.inputs is not None and layout[path].role != Role.SCALAR

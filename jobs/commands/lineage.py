"""``clearcube lineage``: what an item was made from, and what was made from it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from jobs.commands.console import State, json_option, pass_state, say_json

if TYPE_CHECKING:
    from jobs.lineage import Edge, Key, Lineage, Node


@click.command("lineage")
@click.argument("item")
@click.option("--forward", is_flag=True, help="What was made from ITEM, instead.")
@json_option
@pass_state
def command(state: State, item: str, forward: bool, as_json: bool) -> int:
    """Show what ITEM (id, or COLLECTION/ID) was made from, down to the scenes, and how each stands.

    An input that is also an input of another one is shown below that one only; --json has every
    step, with the version or checksum that is recorded.
    """
    from jobs.lineage import lineage

    with state.open(create=False) as workspace:
        found = lineage(workspace, item, forward=forward)
    if as_json:
        say_json(found.document())
        return 0
    for line in _Tree(found).lines(found.root):
        click.echo(line)
    if len(found.nodes) == 1:
        click.echo("nothing was made from it" if forward else "it is no derived item", err=True)
    return 0


class _Tree:
    """A lineage as indented lines; what was shown with what is below it is not shown so again."""

    def __init__(self, found: "Lineage") -> None:
        self._nodes = found.nodes
        self._forward = found.forward
        self._next: dict[Key, list[Edge]] = {}
        for edge in found.edges:
            start = edge.source if found.forward else edge.made
            self._next.setdefault(start, []).append(edge)
        self._below: dict[Key, frozenset[Key]] = {}
        self._shown: set[Key] = set()

    def lines(self, key: "Key", depth: int = 0) -> Iterator[str]:
        """An item and all below it."""
        keys = list(self._children(key))
        again = bool(keys) and key in self._shown
        self._shown.add(key)
        yield "  " * depth + self._line(key) + (" (see above)" if again else "")
        if not again:
            for child in keys:
                yield from self.lines(child, depth + 1)

    def _children(self, key: "Key") -> Iterator["Key"]:
        """Where the steps from an item lead, but for what lies below another of these, in order."""
        ends = {self._end(edge): None for edge in self._next.get(key, ()) if self._is_step(edge)}
        hidden = {end for other in ends for end in self._reach(other, frozenset([key]))}
        return iter(sorted(ends.keys() - hidden, key=lambda end: (end[0] != "cubes", end[1])))

    def _reach(self, key: "Key", above: "frozenset[Key]") -> "frozenset[Key]":
        if key not in self._below:
            ends = {self._end(e) for e in self._next.get(key, ()) if self._is_step(e)} - above
            further = (self._reach(end, above | {key}) for end in ends)
            self._below[key] = frozenset(ends).union(*further)
        return self._below[key]

    def _end(self, edge: "Edge") -> "Key":
        return edge.made if self._forward else edge.source

    def _is_step(self, edge: "Edge") -> bool:
        """Whether an edge has a line of its own; the cube that a mask was read from has none."""
        return self._forward or edge.version is not None

    def _line(self, key: "Key") -> str:
        from jobs.lineage import name_of

        node = self._nodes[key]
        text = f"{node.item_id}  {node.collection or '?'}  {'; '.join(_said(node))}"
        if not self._forward:
            aside = [name_of(e.source) for e in self._next.get(key, ()) if e.version is None]
            text += f" (read from {', '.join(aside)})" if aside else ""
        return text.rstrip()


def _said(node: "Node") -> Iterator[str]:
    from jobs.commands.plan import shortened
    from jobs.lineage import DELIVERED

    if node.because and node.state not in (*DELIVERED, "current"):
        yield f"{node.state}: {shortened(node.because)}"
    elif node.state not in DELIVERED or not (node.rejected or node.superseded_by):
        yield node.state
    if node.rejected is not None:
        yield f"rejected: {node.rejected}"
    if node.superseded_by is not None:
        yield f"superseded by {node.superseded_by}"

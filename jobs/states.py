"""How a derived item stands to what it would be made of now, and why."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.deliveries import REJECTED, SUPERSEDED_BY
from catalog.items import Recipe
from jobs.date_facts import PARAMETER as FACTS
from jobs.job import State, Target

if TYPE_CHECKING:
    from jobs.workspace import Workspace

UNUSED = "is no longer used"
"""What is said of an input that is there and counts, but is not an input any more."""

WITHOUT = "clearcube:without"
"""Property of an item: scenes left out of it because they could not be read, and why."""

UNUSED = "is no longer used"


def assess(
    workspace: "Workspace",
    item: Document | None,
    collection: str,
    item_id: str,
    recipe: Recipe,
    *,
    provisional: str = "",
    follows: Mapping[str, Collection[str]] | None = None,
) -> Target:
    """Catalogued item (or none) and what it would be made of now -> its state.

    ``provisional`` says why more inputs may come, if they may. ``follows`` names inputs that are
    made of other inputs: they are not given as a reason beside these.
    """
    if item is None:
        return Target(collection, item_id, State.MISSING, ("not made yet",))
    gone = lost_files(item)
    if gone:
        return Target(collection, item_id, State.MISSING, tuple(f"{f} is gone" for f in gone))
    if item["properties"].get("clearcube:fingerprint") != recipe.fingerprint:
        because = tuple(differences(workspace, item, recipe, follows or {}))
        return Target(collection, item_id, State.STALE, because or ("its recipe changed",))
    if provisional:
        return Target(collection, item_id, State.PROVISIONAL, (provisional,))
    return Target(collection, item_id, State.CURRENT)


def lost_files(item: Document) -> list[str]:
    """Local files of an item that are not there."""
    hrefs = [str(asset["href"]) for asset in item["assets"].values()]
    return [href for href in hrefs if href.startswith("/") and not Path(href).exists()]


def differences(
    workspace: "Workspace",
    item: Document,
    recipe: Recipe,
    follows: Mapping[str, Collection[str]],
) -> Iterator[str]:
    """In what an item differs from its recipe, a sentence each: scenes, parameters, versions."""
    properties = item["properties"]
    held, wanted = properties.get("clearcube:inputs", {}), recipe.inputs
    changed = {name for name in held.keys() | wanted.keys() if held.get(name) != wanted.get(name)}
    for name in sorted(changed & wanted.keys()):
        if not changed & set(follows.get(name, ())):
            yield f"{name} {'changed' if name in held else 'is new'}"
    yield from _gone(workspace, sorted(changed - wanted.keys()))
    for name, was, now in _parameters(properties, recipe):
        if name == FACTS:
            yield from _facts(was or {}, now or {})
        else:
            yield f"parameter {name} was {was}, is {now}"
    was = properties.get("processing:version")
    if was != recipe.version:
        yield f"{recipe.job} was version {was}, is {recipe.version}"


def _facts(was: Mapping[str, Document], now: Mapping[str, Document]) -> Iterator[str]:
    """What changed of dates that are inputs still; the others are named as such."""
    for time in sorted(was.keys() & now.keys()):
        names = was[time].keys() | now[time].keys()
        changed = sorted(n for n in names if was[time].get(n) != now[time].get(n))
        if changed:
            yield f"{', '.join(changed)} of {time} changed"


def why_out(workspace: "Workspace", item_id: str) -> str:
    """Why an input is no longer used, to follow its id."""
    found = workspace.catalog.find(item_id)
    if not found:
        return "is no longer catalogued"
    properties = found[0]["properties"]
    if REJECTED in properties:
        return f"was rejected: {properties[REJECTED]}"
    if SUPERSEDED_BY in properties:
        return f"is superseded by {properties[SUPERSEDED_BY]}"
    return UNUSED


def _gone(workspace: "Workspace", names: Sequence[str]) -> Iterator[str]:
    """Inputs that are no longer used, and why; without those that left with another of them.

    A mask leaves with its scene, and a scene with its mask where that was rejected.
    """
    why = {name: why_out(workspace, name) for name in names}
    made_of = {
        name: {i for item in workspace.catalog.find(name) for i in _inputs(item)} for name in names
    }
    told = {name for name in names if why[name] != UNUSED}
    for name in names:
        others = {one for one in told if one in made_of[name] or name in made_of[one]}
        if name in told or not others:
            yield f"{name} {why[name]}"


def _inputs(item: Document) -> Collection[str]:
    inputs: Mapping[str, str] = item["properties"].get("clearcube:inputs", {})
    return inputs.keys()


def _parameters(properties: Document, recipe: Recipe) -> Iterator[tuple[str, Any, Any]]:
    held, wanted = properties.get("clearcube:parameters", {}), recipe.parameters
    for name in sorted(held.keys() | wanted.keys()):
        if held.get(name) != wanted.get(name):
            yield name, held.get(name), wanted.get(name)

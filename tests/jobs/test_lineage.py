"""What an item was made from and what from it, both ways, on a season and on a small catalogue."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.deliveries import REJECTED
from jobs.errors import RequestError
from jobs.lineage import GONE, Lineage, lineage, sources_of
from jobs.runner.publish import publish, published
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

BOX = [0.0, 43.0, 1.0, 44.0]
CUBE, MASK, MONTH = "31TCJ", "31TCJ_{}_scl", "31TCJ_2020-05_wasp_scl"


def plain(name: str, collection: str, tile: str | None = "31TCJ", **own: Any) -> dict[str, Any]:
    ring = [[0.0, 43.0], [1.0, 43.0], [1.0, 44.0], [0.0, 44.0], [0.0, 43.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": BOX,
        "properties": {
            "datetime": "2020-05-05T10:50:00Z",
            **({} if tile is None else {"grid:code": f"MGRS-{tile}"}),
            **own,
        },
        "links": [{"rel": "collection", "href": f"../../{collection}", "type": "application/json"}],
        "assets": {},
    }


def made(
    name: str, collection: str, inputs: dict[str, str], links: dict[str, str], **own: Any
) -> dict[str, Any]:
    """Item of a job of another package; ``links`` are id -> collection."""
    about = {"clearcube:job": "other", "clearcube:inputs": inputs}
    item = plain(name, collection, **{**about, **own})
    item["links"] += [
        {"rel": "derived_from", "href": f"../../{where}/items/{one}"}
        for one, where in links.items()
    ]
    return item


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Workspace]:
    """Two scenes; a mask of the first; a cube of both; a month; a map of the month, by id only."""
    with open_workspace(tmp_path) as workspace:
        publish(
            workspace,
            [
                plain("A", "scenes", **{REJECTED: "haze"}),
                plain("B", "scenes", **{"clearcube:superseded_by": "C"}),
                made("cube", "cubes", {"A": "1", "B": "1"}, {"A": "scenes", "B": "scenes"}),
                made("mask", "masks", {"A": "aa"}, {"A": "scenes", "cube": "cubes"}),
                made("month", "months", {"A": "a", "mask": "m"}, {"A": "scenes", "mask": "masks"}),
                made("map", "maps", {"month": "1", "lost": "2"}, {}),
                plain("heights", "dem"),
            ],
        )
        yield workspace


def steps(found: Lineage) -> set[tuple[str, str, str | None]]:
    return {(edge.made[1], edge.source[1], edge.version) for edge in found.edges}


def test_an_item_names_its_sources_with_and_without_a_link(small: Workspace) -> None:
    item = published(small, "masks", "mask")
    assert item is not None
    assert [(s.collection, s.item_id, s.version) for s in sources_of(item)] == [
        ("scenes", "A", "aa"),
        ("cubes", "cube", None),
    ]
    item["properties"].pop("clearcube:job")
    assert list(sources_of(item)) == []


def test_inputs_are_followed_down_to_the_scenes(small: Workspace) -> None:
    found = lineage(small, "map")
    assert steps(found) == {
        ("map", "month", "1"),
        ("map", "lost", "2"),
        ("month", "A", "a"),
        ("month", "mask", "m"),
        ("mask", "A", "aa"),
        ("mask", "cube", None),  # and not from there to scene B, which has no part in it
    }
    states = {node.item_id: (node.collection, node.state) for node in found.nodes.values()}
    assert states["lost"] == ("", GONE)
    assert states["month"][0] == "months"
    assert states["A"] == ("scenes", "scene")
    assert found.nodes["scenes", "A"].rejected == "haze"
    assert [node.state for node in lineage(small, "heights").nodes.values()] == ["dem"]


def test_forward_goes_to_all_that_was_made_from_an_item(small: Workspace) -> None:
    assert {made for made, _, _ in steps(lineage(small, "A", forward=True))} == {
        *("cube", "mask", "month", "map")
    }
    # The mask was read from the cube that B is in, but is not of B.
    assert steps(lineage(small, "B", forward=True)) == {("cube", "B", "1")}
    assert steps(lineage(small, "cube", forward=True)) == {
        ("mask", "cube", None),
        ("month", "mask", "m"),
        ("map", "month", "1"),
    }
    assert lineage(small, "map", forward=True).edges == []


def test_marks_are_shown(small: Workspace) -> None:
    document = lineage(small, "cube").document()
    assert {one["id"]: one for one in document["items"]}["B"] == {
        "id": "B",
        "collection": "scenes",
        "state": "scene",
        "because": [],
        "superseded_by": "C",
    }
    assert {"item": "cubes/cube", "input": "scenes/A", "version": "1"} in document["made_from"]


def test_items_of_no_tile_are_found_forward_of_items_of_none(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        relief, slope = plain("relief", "dem", None), made("slope", "maps", {"relief": "1"}, {})
        publish(workspace, [relief, slope])
        assert steps(lineage(workspace, "relief", forward=True)) == {("slope", "relief", "1")}


def test_an_id_of_two_collections_wants_one_named(small: Workspace) -> None:
    publish(small, [plain("A", "others")])
    with pytest.raises(RequestError, match="write others/A or scenes/A"):
        lineage(small, "A")
    assert steps(lineage(small, "others/A", forward=True)) == set()
    assert len(lineage(small, "scenes/A", forward=True).nodes) == 5


def test_text_shows_an_input_below_what_it_is_an_input_of(
    small: Workspace, clearcube: Callable[..., Any]
) -> None:
    path = small.settings.workspace
    said = clearcube(path, "lineage", "map")
    why = "current: job other is not installed here"
    assert said.status == 0
    assert said.out.replace(why, "current").splitlines() == [
        "map  maps  current",
        f"  lost  ?  {GONE}",
        "  month  months  current",
        "    mask  masks  current (read from cubes/cube)",
        "      A  scenes  rejected: haze",
    ]
    said = clearcube(path, "lineage", "A", "--forward")
    assert said.out.replace(why, "current").splitlines() == [
        "A  scenes  rejected: haze",
        "  cube  cubes  current",
        "  mask  masks  current",
        "    month  months  current",
        "      map  maps  current",
    ]
    assert clearcube(path, "lineage", "map", "--forward").err == "nothing was made from it\n"
    clearcube(path, "lineage", "none").refused("no item is called 'none'")


def test_an_item_that_names_itself_is_shown_once(
    small: Workspace, clearcube: Callable[..., Any]
) -> None:
    publish(small, [made("a", "maps", {"b": "1"}, {}), made("b", "maps", {"a": "1"}, {})])
    said = clearcube(small.settings.workspace, "lineage", "a")
    assert [line.split()[0] for line in said.out.splitlines()] == ["a", "b", "a"]


@pytest.mark.cluster
@pytest.mark.usefixtures("scheduler")
def test_a_season_both_ways(
    season: SeasonFiles, tmp_path: Path, clearcube: Callable[..., Any]
) -> None:
    with open_workspace(tmp_path) as workspace:
        workspace.ingest(*season.products)
        for method in ("wasp", "median"):
            workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method=method)
        back = workspace.lineage(MONTH)
        scenes = [one for one in back.nodes.values() if one.state == "scene"]
        assert len(scenes) == 4
        assert {one.collection for one in back.nodes.values()} == {
            *("sentinel-2-l2a", "cloud-mask-scl", "synthesis-wasp", "cubes")
        }
        assert back.nodes[back.root].state == "provisional"
        first = min(scenes, key=lambda scene: scene.item_id[11:]).item_id
        ahead = workspace.lineage(first, forward=True)
        assert {one.item_id for one in ahead.nodes.values()} == {
            *(first, CUBE, MASK.format("20200505T105029"), MONTH, "31TCJ_2020-05_median_scl")
        }
        workspace.catalog.delete_items([("sentinel-2-l2a", first)])
    said = clearcube(tmp_path, "lineage", MONTH, "--json")
    items = {one["id"]: one for one in json.loads(said.out)["items"]}
    assert items[first]["state"] == GONE
    assert items[MONTH]["state"] == "stale"
    assert items[MONTH]["because"] == [f"{first} is no longer catalogued"]

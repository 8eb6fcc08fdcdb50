"""Scenes and masks taken out and back: what that makes stale, and what comes of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.deliveries import REJECTED, SUPERSEDED_BY
from cube.store import open_store
from jobs.errors import RequestError
from jobs.runner.publish import published
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("scheduler")]

SCENES = "sentinel-2-l2a"
MASKS = "cloud-mask-scl"
MONTHS = ("31TCJ_2020-05_median_scl", "31TCJ_2020-05_wasp_scl")
WHY = "haze over the fields"


def names(season: SeasonFiles) -> list[str]:
    """Ids of the season's scenes in order of date, the delivery that counts of each."""
    paths = [path for path in season.products if path != season.superseded]
    return [path.name.removesuffix(".zip").removesuffix(".SAFE") for path in paths]


def mask_of(scene: str) -> str:
    return f"31TCJ_{scene.split('_')[2]}_scl"


def make(workspace: Workspace) -> None:
    for method in ("wasp", "median"):
        done = workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method=method)
        assert done.failures == []


@pytest.fixture(scope="module")
def kept(
    season: SeasonFiles,
    cluster_address: str,
    keep: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A workspace of the season with both months."""
    path = tmp_path_factory.mktemp("rejected") / "w"
    with open_workspace(path, scheduler=cluster_address) as workspace:
        workspace.ingest(*season.products)
        make(workspace)
    return keep(path)


@pytest.fixture
def made(kept: Any) -> Iterator[Workspace]:
    """That workspace; it may be changed."""
    with open_workspace(kept.restored()) as workspace:
        yield workspace


def results(workspace: Workspace) -> dict[str, str]:
    """Checksum of every file and every variable of a date that the catalogue points to."""
    found = {}
    for collection in (MASKS, "synthesis-median", "synthesis-wasp"):
        for item in workspace.search(collections=[collection]):
            for key, asset in item.assets.items():
                found[f"{item.id} {key}"] = asset.extra_fields["file:checksum"]
    for entry in open_store(workspace.cubes / "31TCJ.zarr").valid_dates:
        for name, checksum in entry.checksums.items():
            found[f"{entry.datetime} {name}"] = checksum
    return found


def states(workspace: Workspace) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What is stale, missing or orphaned, and why."""
    return {
        target.item_id: (str(target.state), target.because)
        for target in workspace.status()
        if target.state in ("stale", "missing", "orphaned")
    }


def test_a_rejected_scene_leaves_all_that_was_made_from_it(
    season: SeasonFiles, tmp_path: Path, made: Workspace
) -> None:
    scene = names(season)[2]
    before = results(made)
    found = made.reject(f"{SCENES}/{scene}", WHY)
    why = (f"{scene} was rejected: {WHY}",)
    expected = {
        "31TCJ": ("stale", why),
        mask_of(scene): ("orphaned", why),
        **dict.fromkeys(MONTHS, ("stale", why)),
    }
    assert states(made) == expected
    assert {t.item_id: (str(t.state), t.because) for t in found.stale} == expected
    assert found.deliveries == []

    done = made.run_stale()
    assert done.failures == []
    assert sorted(done.made) == [*MONTHS]
    assert published(made, MASKS, mask_of(scene)) is None
    assert states(made) == {}
    without = results(made)
    assert without != before

    again = made.ingest(*season.products)
    assert again.made == []
    assert states(made) == {}
    kept = published(made, SCENES, scene)
    assert kept is not None
    assert kept["properties"][REJECTED] == WHY

    taken_back = made.reject(scene, None)
    assert {target.item_id for target in taken_back.stale} == expected.keys()
    assert made.run_stale().failures == []
    assert states(made) == {}
    assert results(made) == before
    with open_workspace(tmp_path / "other") as fresh:
        fresh.ingest(*(path for path in season.products if scene not in path.name))
        make(fresh)
        assert results(fresh) == without


def test_a_month_is_made_without_a_rejected_mask(
    season: SeasonFiles, tmp_path: Path, made: Workspace
) -> None:
    scene = names(season)[3]
    before = results(made)
    made.reject(mask_of(scene), WHY)
    why = (f"{mask_of(scene)} was rejected: {WHY}",)
    assert states(made) == dict.fromkeys(MONTHS, ("stale", why))
    assert sorted(made.run_stale().made) == [*MONTHS]
    without = results(made)
    held = made.search(collections=["synthesis-wasp"])[0].properties
    assert held["clearcube:dates"] == 3
    assert not {scene, mask_of(scene)} & held["clearcube:inputs"].keys()
    # Made again, it stays out.
    (mask,) = made.search(ids=[mask_of(scene)])
    Path(mask.assets["mask"].href).unlink()
    assert mask_of(scene) in made.run_stale().made
    assert results(made) == without
    assert states(made) == {}

    made.reject(mask_of(scene), None)
    made.run_stale()
    assert results(made) == before
    with open_workspace(tmp_path / "other") as fresh:
        fresh.ingest(*(path for path in season.products if scene not in path.name))
        make(fresh)
        never = results(fresh)
    months = {key for key in never if key.startswith(MONTHS)}
    assert {key: without[key] for key in months} == {key: never[key] for key in months}


def test_the_delivery_that_a_rejected_scene_had_superseded_counts_again(
    season: SeasonFiles, tmp_path: Path, made: Workspace
) -> None:
    assert season.superseded is not None
    winner, loser = names(season)[1], season.superseded.name.removesuffix(".SAFE")
    before = results(made)
    found = made.reject(winner, WHY)
    assert found.deliveries == [(loser, None)]
    held = published(made, SCENES, loser)
    assert held is not None
    assert SUPERSEDED_BY not in held["properties"]
    reasons = {because for _, because in states(made).values()}
    assert all(winner in " ".join(because) or loser in " ".join(because) for because in reasons)
    made.run_stale()
    other = results(made)
    assert other != before
    assert states(made) == {}
    made.ingest(*season.products)
    assert states(made) == {}

    assert made.reject(winner, None).deliveries == [(loser, winner)]
    made.run_stale()
    assert results(made) == before
    with open_workspace(tmp_path / "other") as fresh:
        fresh.ingest(*(path for path in season.products if winner not in path.name))
        make(fresh)
        assert results(fresh) == other


def test_the_command(season: SeasonFiles, tmp_path: Path, clearcube: Callable[..., Any]) -> None:
    scene = names(season)[0]
    with open_workspace(tmp_path) as workspace:
        workspace.ingest(season.products[0])
        make(workspace)
    said = clearcube(tmp_path, "reject", scene, "--why", f"  {WHY}\n")
    assert said.status == 0
    assert said.out.splitlines() == [
        f"{scene} rejected: {WHY}",
        f"  orphaned  {mask_of(scene)}: {scene} was rejected: {WHY}",
        f"  stale  31TCJ: {scene} was rejected: {WHY}",
        *(f"  orphaned  {name}: {scene} was rejected: {WHY}" for name in MONTHS),
    ]
    assert said.err == "`clearcube run stale` brings them up to date\n"
    assert f"{scene} was rejected: {WHY}" in clearcube(tmp_path, "status").out
    assert clearcube(tmp_path, "run", "stale").status == 0
    assert clearcube(tmp_path, "status", "--all").out == "nothing has been made yet\n"
    said = clearcube(tmp_path, "reject", scene, "--undo", "--json")
    assert json.loads(said.out) == {
        "id": scene,
        "collection": SCENES,
        "rejected": None,
        "deliveries": [],
        "stale": [],
    }


def test_what_cannot_be_rejected_is_refused(
    season: SeasonFiles, made: Workspace, clearcube: Callable[..., Any]
) -> None:
    path = made.settings.workspace
    with pytest.raises(RequestError, match="say why"):
        made.reject(names(season)[0], " ")
    for name in ("31TCJ", MONTHS[0]):
        said = clearcube(path, "reject", name, "--why", WHY)
        said.refused(name, "reject the scene or mask that it shall not be made from")
    clearcube(path, "reject", "none", "--why", WHY).refused("no item is called 'none'")
    clearcube(path, "reject", names(season)[0]).refused("give --why TEXT, or --undo")
    clearcube(path, "reject", names(season)[0], "--undo").refused("is not rejected")

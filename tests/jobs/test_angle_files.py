"""Grids of angles from the metadata of products to files that items name."""

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.products import open_product
from catalog.search import Query
from cube.angles import read_angles
from jobs.date_facts import date_facts
from jobs.errors import RequestError
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace


@pytest.fixture
def products(season: SeasonFiles, tmp_path: Path) -> list[Path]:
    """One SAFE and one MUSCATE product, to be changed."""
    chosen = [season.products[0], season.muscate[0]]
    return [Path(shutil.copytree(p, tmp_path / p.name)) for p in chosen]


@pytest.fixture
def workspace(tmp_path: Path, products: list[Path]) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as workspace:
        assert workspace.ingest(*products).failures == []
        yield workspace


def scenes(workspace: Workspace) -> list[dict[str, Any]]:
    return sorted(workspace.documents(Query()), key=lambda item: str(item["collection"]))


def metadata(product: Path) -> Path:
    return next(p for p in product.rglob("*.xml") if p.name == "MTD_TL.xml" or "MTD_ALL" in p.name)


def test_items_name_what_their_metadata_hold(workspace: Workspace, products: list[Path]) -> None:
    for scene, product in zip(scenes(workspace), products, strict=True):
        asset = scene["assets"]["angles"]
        assert asset["roles"] == ["metadata"]
        assert Path(asset["href"]).stat().st_size == asset["file:size"]
        said, held = open_product(product).angles, read_angles((asset["href"],))
        assert said is not None
        assert (held.left, held.top) == said.corner
        assert held.step == (5000, 5000)
        assert held.size[0] % 10 == 0
        assert sorted(held.views) == sorted(said.views)
        assert len(held.views) == 10
        assert held.views["nir"].shape == (2, 2, 23, 23)
        for name, detectors in said.views.items():
            np.testing.assert_allclose(
                held.views[name], np.array(detectors, np.float64), rtol=1e-6, equal_nan=True
            )
        np.testing.assert_allclose(held.sun[0], np.array(said.sun, float), rtol=1e-6)


def test_ingesting_again_changes_nothing(workspace: Workspace, products: list[Path]) -> None:
    before = scenes(workspace)
    times = [Path(s["assets"]["angles"]["href"]).stat().st_mtime_ns for s in before]
    outcome = workspace.ingest(*products)
    assert outcome.made == []
    assert scenes(workspace) == before
    assert [Path(s["assets"]["angles"]["href"]).stat().st_mtime_ns for s in before] == times


def test_a_lost_or_damaged_file_is_found_and_mended(
    workspace: Workspace, products: list[Path]
) -> None:
    assert workspace.verify() == []
    first, second = (Path(s["assets"]["angles"]["href"]) for s in scenes(workspace))
    content = first.read_bytes()
    first.unlink()
    second.write_bytes(second.read_bytes()[:-7] + b"damaged")
    said = [finding.what for finding in workspace.verify()]
    assert sorted(said) == sorted(
        [f"file gone: {first}", f"{second} is not what was written: its checksum differs"]
    )
    second.unlink()
    before = scenes(workspace)
    assert workspace.ingest(*products).failures == []
    assert first.read_bytes() == content
    assert scenes(workspace) == before
    assert workspace.verify() == []


def test_other_angles_are_another_file_and_the_former_is_debris(
    workspace: Workspace, products: list[Path]
) -> None:
    before = scenes(workspace)[0]
    path = metadata(products[0])
    text = path.read_text()
    at = text.index("Sun_Angles_Grid")
    changed = re.sub(r"<VALUES>[\d.]+", "<VALUES>44.5", text[at:], count=1)
    path.write_text(text[:at] + changed)
    workspace.ingest(products[0])
    after = scenes(workspace)[0]
    was, now = (Path(s["assets"]["angles"]["href"]) for s in (before, after))
    assert was != now
    assert read_angles((str(now),)).sun[0, 0, 0, 0] == np.float32(44.5)
    assert after["properties"]["clearcube:version"] == before["properties"]["clearcube:version"]
    assert date_facts([after], None).angles != date_facts([before], None).angles
    removed = workspace.gc(older_than=timedelta(0)).removed
    assert [one.path for one in removed] == [was.parent]
    assert now.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("NaN", "high"), "could not convert"),
        (
            lambda text: re.sub(r"<VALUES>[\d.]+", "<VALUES>361", text, count=1),
            "beyond 180 degrees",
        ),
        (lambda text: text.replace("<VALUES>", "<VALUES>1 ", 1), "rows that differ in length"),
        (lambda text: re.sub("<COL_STEP.*?</COL_STEP>", "", text), "no steps between nodes"),
    ],
)
def test_grids_that_cannot_be_are_left_out_and_said(
    products: list[Path], tmp_path: Path, change: Any, said: str
) -> None:
    for product in products:
        path = metadata(product)
        path.write_text(change(path.read_text()))
        read = open_product(product)
        assert read.angles is None
        (warning,) = [w for w in read.warnings if "grids of angles are not used" in w]
        assert said in warning
    with open_workspace(tmp_path / "other") as workspace:
        assert workspace.ingest(*products).failures == []
        facts = [date_facts([scene], None) for scene in scenes(workspace)]
    assert all(fact.angles == () and len(fact.sun) == len(fact.view) == 2 for fact in facts)


@pytest.mark.shared
def test_genuine_grids(shared: Path) -> None:
    product = open_product(next((shared / "safe-l1c-31TCJ").glob("S2A*.SAFE")))
    grids = product.angles
    assert grids is not None
    assert (grids.corner, grids.size) == ((300_000, 4_900_020), (109_800, 109_800))
    assert {len(detectors) for detectors in grids.views.values()} == {7}
    # Each detector looks at a strip; together they see all but the outermost nodes, each node once
    # or, where strips overlap, twice.
    seen = sum(np.isfinite(np.array(pair[0], float)).astype(int) for pair in grids.views["nir"])
    assert (seen[1:-1, 1:-1] >= 1).all()
    assert seen.max() == 2
    theia = open_product(next((shared / "muscate-38KPE").glob("SENTINEL2A_20170213*")))
    assert theia.angles is not None
    assert theia.angles.sun[0][0][:2] == (28.2419, 28.1977)
    assert theia.angles.sun[1][0][0] == 84.3709


def test_what_is_normalised_already_is_refused(workspace: Workspace) -> None:
    scene = scenes(workspace)[0]
    assert not date_facts([scene], None).nbar
    for word in ("NBAR", "nbart", "S2 NBAR L2A"):
        said = {**scene, "properties": {**scene["properties"], "product:type": word}}
        assert date_facts([said], None).nbar
    named = {**scene["assets"], "nbart_red": {"href": "/x"}}
    assert date_facts([{**scene, "assets": named}], None).nbar
    assert not date_facts([{**scene, "id": "unbarred"}], None).nbar
    request = {
        "tile": scene["properties"]["grid:code"].removeprefix("MGRS-"),
        "datetime": scene["properties"]["datetime"][:7],
        "mask": "scl",
    }
    workspace.plan("synthesis", **request)
    workspace.catalog.upsert_items(
        [{**scene, "properties": {**scene["properties"], "processing:level": "L2A NBAR"}}]
    )
    with pytest.raises(RequestError, match=r"NBAR.*brdf=none"):
        workspace.plan("synthesis", **request)
    workspace.plan("synthesis", **request, options={"brdf": "none"})

"""What is ingested and made has the fields that are described, and no others."""

from pathlib import Path

import pytest

from catalog.extension import validate_fields
from catalog.search import Query
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace


def kinds(workspace: Workspace) -> dict[str, int]:
    """Count of the items of each collection, all of them checked."""
    found: dict[str, int] = {}
    for item in workspace.documents(Query()):
        validate_fields(item)
        found[item["collection"]] = found.get(item["collection"], 0) + 1
    return found


@pytest.mark.cluster
@pytest.mark.usefixtures("scheduler")
def test_all_that_a_season_comes_to(season: SeasonFiles, tmp_path: Path) -> None:
    with open_workspace(tmp_path / "workspace") as workspace:
        workspace.ingest(*season.products, *season.muscate)
        for method, mask in (("wasp", "scl"), ("median", "clm")):
            workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method=method, mask=mask)
        found = kinds(workspace)
    assert set(found) == {
        *("sentinel-2-l2a", "sentinel-2-l2a-maja", "cubes", "cloud-mask-scl", "cloud-mask-clm"),
        *("synthesis-wasp", "synthesis-median"),
    }
    assert found["synthesis-wasp"] == found["synthesis-median"] == 1


@pytest.mark.shared
def test_genuine_products(shared: Path, tmp_path: Path) -> None:
    sources = [
        *sorted((shared / "safe-l2a-small").glob("*.SAFE")),
        *sorted((shared / "safe-l1c-31TCJ").glob("*.SAFE")),
        *sorted((shared / "muscate-38KPE").glob("SENTINEL2*")),
        *sorted((shared / "wasp-reference" / "l2a").glob("SENTINEL2*")),
        shared / "s2-l2a-31UES" / "catalog.json",
    ]
    with open_workspace(tmp_path / "workspace") as workspace:
        assert workspace.ingest(*sources).failures == []
        assert sum(kinds(workspace).values()) == 82

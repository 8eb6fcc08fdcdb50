import json
from copy import deepcopy
from dataclasses import replace
from datetime import date

import pytest

from catalog.search import Query
from jobs.audit import audit
from jobs.audit_items import audit_items, found_of
from jobs.errors import RequestError
from jobs.runner.publish import publish
from jobs.simulate.season import SMALL_SEASON, write_season
from jobs.workspace import open_workspace


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Eight dates; the third is of baseline 05.10, the second was delivered twice."""
    season = replace(
        SMALL_SEASON,
        first=date(2020, 5, 5),
        last=date(2020, 5, 26),
        passes=(0, 1, 2, 4, 6),
        clear_dates=tuple(range(20)),
        offset_date=2,
        maja_dates=(),
    )
    return write_season(tmp_path_factory.mktemp("audited"), season)


@pytest.fixture
def workspace(tmp_path, products):
    with open_workspace(tmp_path / "ws") as opened:
        assert opened.ingest(*products.products).failures == []
        yield opened


def raw(workspace):
    return [i for i in workspace.documents(Query()) if "clearcube:job" not in i["properties"]]


def say_offset(item, offset):
    """The item as if its source said another offset."""
    item = deepcopy(item)
    for asset in item["assets"].values():
        if "reflectance" in asset.get("roles", ()):
            asset["raster:bands"][0]["offset"] = offset
    # A source that is not ESA's own product, which would be asked.
    item["assets"].pop("metadata", None)
    return item


def found(audits, severity):
    return {(f.id, f.finding) for one in audits for f in one.findings if f.severity == severity}


def test_without_a_cube_only_metadata_are_looked_at(workspace, clearcube):
    path = workspace.settings.workspace
    said = clearcube(path, "audit")
    assert said.status == 0
    assert "no cube, only metadata looked at: 0 errors, 0 warnings" in said.out
    notes = clearcube(path, "audit", "--notes").out
    assert "baseline 03.01 over 02.14" in notes
    assert "chosen over" in notes


@pytest.mark.slow
@pytest.mark.cluster
def test_a_sound_cube_and_one_with_wrong_offsets(scheduler, workspace, clearcube):
    path = workspace.settings.workspace
    items = sorted(raw(workspace), key=lambda i: i["properties"]["datetime"])
    assert workspace.run("cube", tile="31TCJ").failures == []
    (sound,) = audit(workspace, ["31TCJ"])
    assert (sound.count("error"), sound.count("warning")) == (0, 0)
    assert sound.judged >= 6
    # One forgotten, one applied twice: the pixels tell which, though metadata alone cannot.
    (shifted,) = (i for i in items if i["properties"]["s2:processing_baseline"] == "05.10")
    twice = items[-1]
    lies = [say_offset(shifted, 0.0), say_offset(twice, -0.1)]
    for lie in lies:
        lie["properties"]["clearcube:version"] += "x"
    publish(workspace, lies)
    assert "outdated" in {finding for _, finding in found(audit(workspace), "warning")}
    assert workspace.run("cube", tile="31TCJ").failures == []
    audits = audit(workspace)
    assert found(audits, "error") == {
        (shifted["id"], "offset-missing"),
        (twice["id"], "offset-twice"),
    }
    assert found(audits, "warning") == {
        (shifted["id"], "offset-metadata"),
        (twice["id"], "offset-metadata"),
    }
    said = clearcube(path, "audit", "--tile", "31TCJ", "--json")
    assert said.status == 1
    (document,) = json.loads(said.out)["tiles"]
    assert document["errors"] == 2
    finding = document["findings"][0]
    assert set(finding) == {
        *("id", "collection", "tile", "finding", "severity", "detail", "numbers")
    }
    assert finding["numbers"]["shift"] == pytest.approx(0.1, abs=0.03)
    lines = clearcube(path, "audit").out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"error: 31TCJ {shifted['id']} (2020-")
    assert "offset not applied" in lines[0]
    # A delivery that the catalogue no longer holds, though the cube does.
    workspace.catalog.delete_items([(twice["collection"], twice["id"])])
    assert (twice["id"], "not-catalogued") in found(audit(workspace), "warning")


def test_wrong_use(tmp_path, workspace, clearcube):
    clearcube(tmp_path / "none", "audit").refused("no workspace")
    clearcube(workspace.settings.workspace, "audit", "--tile", "31UES").refused("31UES", "ingest")
    with pytest.raises(RequestError, match="31UES"):
        audit(workspace, ["31UES"])


# --- metadata alone -------------------------------------------------------------------------------


@pytest.fixture
def item(workspace):
    """A delivery of baseline 05.10 as another source would give it, without ESA's metadata."""
    (chosen,) = (i for i in raw(workspace) if i["properties"]["s2:processing_baseline"] == "05.10")
    return say_offset(chosen, -0.1)


def kinds(items, **options):
    return {
        (f.finding, f.severity)
        for f in audit_items(items, "31TCJ", **options)
        if f.finding != "granule-choice"
    }


def test_offset_and_baseline(item):
    assert kinds([item]) == set()
    assert kinds([say_offset(item, 0.0)]) == {("offset-metadata", "warning")}
    assert kinds([say_offset(item, -0.05)]) == {("offset-metadata", "warning")}
    old = say_offset(item, -0.1)
    old["properties"]["s2:processing_baseline"] = "02.14"
    assert kinds([old]) == {("offset-metadata", "warning")}
    # Pixels that were found right make it a note.
    right = frozenset({item["id"]})
    assert kinds([say_offset(item, 0.0)], pixels_right=right) == {("offset-metadata", "note")}


def test_pixels_shifted_back_by_the_source(item):
    shifted = say_offset(item, 0.0)
    shifted["properties"]["earthsearch:boa_offset_applied"] = True
    assert kinds([shifted]) == {("offset-applied", "note")}
    both = say_offset(shifted, -0.1)
    assert kinds([both]) == {("offset-applied", "error")}


def test_bands_that_differ(item):
    item["assets"]["red"]["raster:bands"][0]["offset"] = 0.0
    assert kinds([item]) == {("offset-bands", "error")}
    assert found_of(item).offsets[0.0] == ["red"]


def test_scale(item):
    item["assets"]["nir"]["raster:bands"][0]["scale"] = 0.001
    assert kinds([item]) == {("scale-metadata", "warning")}


def test_the_product_says_otherwise(workspace):
    chosen = next(i for i in raw(workspace) if i["assets"].get("metadata"))
    metadata = chosen["assets"]["metadata"]
    other = say_offset(chosen, 0.0 if 0.0 not in found_of(chosen).offsets else -0.1)
    other["assets"]["metadata"] = metadata
    assert ("offset-product", "error") in kinds([other])


def test_two_deliveries_that_both_count(item):
    again = deepcopy(item)
    again["id"] += "_again"
    assert kinds([item, again]) == {("duplicate-delivery", "error")}
    again["properties"].pop("s2:datastrip_id")
    assert kinds([item, again]) == {("duplicate-delivery", "warning")}
    # Two parts of a pass, from different datastrips, show different ground.
    again["properties"]["s2:datastrip_id"] = (
        "S2A_OPER_MSI_L2A_DS_VGS4_20200510T140000_S20200510T110000_N05.10"
    )
    assert kinds([item, again]) == set()


def test_superseded_by_what_is_not_there(item):
    item["properties"]["clearcube:superseded_by"] = "gone"
    assert kinds([item]) == {("superseded", "warning")}

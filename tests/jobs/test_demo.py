"""The demonstration, on a small season."""

import json
from dataclasses import replace

import pytest

from jobs.demo import run_demo
from jobs.errors import JobError
from jobs.simulate.season import SMALL_SEASON

# odc-geo projects geometries by a function that shapely 2.2 is about to take away.
pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def found(output):
    return run_demo(output, season=SMALL_SEASON)


def files(folder):
    """What a run may not touch: products, cubes, and what was made of them."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        skipped = ("workspace/runs", "workspace/catalog.db", "report.html")
        if path.is_file() and not inside.startswith(skipped) and path.suffix != ".lock":
            kept[inside] = (path.stat().st_mtime_ns, path.stat().st_size)
    return kept


@pytest.mark.cluster
def test_results_are_near_the_truth(found):
    assert found.dates == 4
    assert found.products == 6
    assert set(found.masks) == {"scl", "clm"}
    assert found.masks["scl"].overall > 0.88
    assert found.masks["clm"].overall > 0.95
    assert set(found.reflectances) == {"2020-05"}
    errors = found.reflectances["2020-05"]
    # a wrong offset would be 0.1, the wrong delivery of two about 0.01
    assert abs(errors["nir"].bias) < 0.01
    assert errors["nir"].median < 0.02
    assert found.gap < 0.05
    # as the sensor saw it, without the directional correction, it is 0.0117
    assert found.rmse == pytest.approx(0.0107, abs=2e-4)


@pytest.mark.cluster
def test_page_and_texts_tell_of_them(found, output):
    page = (output / "report.html").read_text("utf-8")
    assert page.count("<article") == 4
    assert "baseline with offset" in page
    assert "delivered twice" in page
    text = found.text()
    assert str(found.report) in text
    assert "explain-mask" in text
    assert json.loads(json.dumps(found.document()))["products"] == 6


@pytest.mark.cluster
def test_a_second_run_makes_nothing(found, output):
    before = files(output)
    again = run_demo(output, season=SMALL_SEASON)
    assert files(output) == before
    assert again.rmse == found.rmse


def test_another_season_in_the_same_place_is_refused(tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "season.txt").write_text("another", encoding="utf-8")
    with pytest.raises(JobError, match="another simulation"):
        run_demo(tmp_path, season=replace(SMALL_SEASON, size=48))
    assert not (tmp_path / "products").exists()

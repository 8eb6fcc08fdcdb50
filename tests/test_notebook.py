"""The notebooks run as they are, cell by cell, on fewer pixels; nothing of a run is left in them."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import rasterio

FOLDER = Path(__file__).parents[1] / "deploy" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WHOLE = "Season(size=SIDE)"
SMALL = (
    "Season(size=96, last=date(2020, 5, 2), extension='tif', "
    "maja_dates=(), offset_date=None, duplicate_date=None)"
)
"""What stands for the whole season, so that a test takes seconds."""


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text("utf-8"))["cells"]
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to run in, a worker in this process, no window for pictures."""
    from distributed import LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        mpl.rc_context({"backend": "Agg"}),
    ):
        monkeypatch.setenv("CLEARCUBE_SCHEDULER", cluster.scheduler_address)
        monkeypatch.chdir(tmp_path)
        yield tmp_path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(notebook: Path) -> None:
    for cell in cells(notebook):
        assert not cell.get("outputs"), cell["id"]
        assert cell.get("execution_count") is None, cell["id"]


def test_from_scenes_to_saved_masks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from matplotlib import pyplot as plt

    code = "\n".join(
        "".join(cell["source"])
        for cell in cells(FOLDER / "temporal-masks.ipynb")
        if cell["cell_type"] == "code"
    )
    assert code.count(WHOLE) == 1
    names: dict[str, Any] = {"date": date}
    # GDAL sees the header beside a raster, whatever loaders of other tests told it.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="FALSE"):
        exec(code.replace(WHOLE, SMALL), names)
    assert "9 scenes, 2020-03-21 to 2020-04-30" in capsys.readouterr().out
    classes = names["classes"]
    assert classes.shape == (9, 48, 48)
    # A third of the season is under cloud.
    assert 0.1 < float((classes == 2).mean()) < 0.6
    assert float((classes == 3).mean()) > 0.005
    assert names["when"] in names["fine"].time.values.astype("M8[us]")
    assert len(plt.get_fignums()) == 3
    plt.close("all")
    assert len(names["envi"].files) == 14
    assert names["netcdf"].outdated == ()
    assert (home / "temporal-masks" / "31TCJ.nc").is_file()

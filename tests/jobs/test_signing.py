"""Scenes whose pixels need a signature, or keys from the environment."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from starlette.testclient import TestClient

from catalog.errors import QueryError
from catalog.signing import signed, unsigned
from jobs.service import create_service
from jobs.testing import write_scene
from jobs.workspace import open_workspace

pytestmark = pytest.mark.cluster

SERVER = Path(__file__).parents[1] / "signing_server.py"


@pytest.fixture(autouse=True)
def own_workers() -> Iterator[None]:
    """Workers that are started anew: those forked for other tests know the environment of then."""
    with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
        yield


@pytest.fixture
def scene(tmp_path: Path) -> dict[str, Any]:
    """A scene in a folder that only the server gives."""
    path = write_scene(tmp_path / "data", "S2A_SIGNED", 1234)
    item: dict[str, Any] = json.loads(path.read_text())
    path.unlink()
    return item


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, str(SERVER), str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


def placed(item: dict[str, Any], prefix: str, folder: Path) -> Path:
    """The item as a file, with its assets below an address."""
    for asset in item["assets"].values():
        asset["href"] = f"{prefix}{asset['href'].removeprefix('./')}"
    path = folder / "item.json"
    path.write_text(json.dumps(item))
    return path


def made(workspace: Any, path: Path, **options: Any) -> float:
    """Ingest and make a cube; the blue of a pixel."""
    from cube.store import open_cube

    assert workspace.ingest(path, **options).failures == []
    assert workspace.run("cube", tile="31UES").failures == []
    cube = open_cube(str(workspace.cubes / "31UES.zarr"), "r10m")
    return float(cube.blue.isel(time=0, y=30, x=30))


def test_the_planetary_computer_signs_what_is_read(
    scene: dict[str, Any], server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSICURL_PC_SAS_SIGN_HREF_URL", f"http://{server}/sign?href=")
    path = placed(scene, f"http://{server}/blob/", tmp_path)
    with open_workspace(tmp_path / "unsigned", workers=1) as workspace:
        workspace.ingest(path)
        assert workspace.run("cube", tile="31UES").failures
    with open_workspace(tmp_path / "w", workers=1) as workspace:
        assert made(workspace, path, sign="planetary-computer") == 1234
        (item,) = workspace.search(collections=["sentinel-2-l2a"])
        assert "sig=" not in json.dumps(item.to_dict())
        service = TestClient(create_service(workspace))
        shown = service.get("/collections/sentinel-2-l2a/items/S2A_SIGNED").json()
        assert shown["assets"]["blue"]["href"] == scene["assets"]["blue"]["href"]


def test_keys_of_buckets_come_from_the_environment(
    scene: dict[str, Any], server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = placed(scene, "s3://eodata/", tmp_path)
    for name, value in {
        "AWS_S3_ENDPOINT": server, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "default",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with open_workspace(tmp_path / "w", workers=1) as workspace:
        assert made(workspace, path) == 1234


def test_only_addresses_are_signed() -> None:
    item = {"assets": {"a": {"href": "https://x/a b.tif?c=1"}, "b": {"href": "s3://x/b.tif"}}}
    found = signed(item, "planetary-computer")["assets"]
    assert unsigned(found["a"]["href"]) == "https://x/a b.tif?c=1"
    assert "?c" not in found["a"]["href"]
    assert found["b"] == item["assets"]["b"]
    with pytest.raises(QueryError, match="nobody signs as 'me'"):
        signed(item, "me")

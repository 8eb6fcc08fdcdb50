"""STAC files on disk and on a server, and an API with pages, refusals and absences."""

import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from urllib3.util import Retry

from catalog import sources
from catalog.errors import QueryError, SourceError
from catalog.search import parse_query
from catalog.sources import Found, Skipped, read_sources, tile_bbox
from catalog.testing import make_collection, make_item

DATA = Path(__file__).parent / "data"


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def ids(parts):
    return [part.item["id"] if isinstance(part, Found) else part.reason for part in parts]


def read(*hrefs, **conditions):
    return list(read_sources([str(href) for href in hrefs], parse_query(**conditions)))


def links(*hrefs, rel="item"):
    return [{"rel": rel, "href": href} for href in hrefs]


@pytest.fixture
def tree(tmp_path):
    """Catalogue with a nested catalogue, two collections and three items."""
    first, second, third = (make_item(f"S2A_{name}") for name in ("one", "two", "three"))
    first["assets"]["red"]["href"] = "./red.tif"
    second["assets"]["red"]["href"] = "../../shared/red.tif"
    del third["collection"]
    third["properties"]["processing:level"] = "L2A"
    third["assets"]["red"]["href"] = "s3://bucket/red.tif"
    plain = {"type": "Catalog", "stac_version": "1.1.0", "id": "root", "description": "x"}
    below = links("./a/collection.json", "b/catalog.json", rel="child")
    write(
        tmp_path / "catalog.json",
        {**plain, "links": [*below, *links("./catalog.json", rel="root")]},
    )
    a = make_collection("sentinel-2-l2a")
    write(
        tmp_path / "a/collection.json",
        {**a, "links": links("one/one.json", "./two/two.json", "../a/one/one.json")},
    )
    write(tmp_path / "a/one/one.json", first)
    write(tmp_path / "a/two/two.json", second)
    # Back to the root: a circle must end.
    nested = [*links("c/collection.json", "../catalog.json", rel="child")]
    write(tmp_path / "b/catalog.json", {**plain, "id": "b", "links": nested})
    c = make_collection("theirs-sentinel-2-l2a")
    write(tmp_path / "b/c/collection.json", {**c, "links": links("three.json")})
    write(tmp_path / "b/c/three.json", third)
    return tmp_path


def test_catalogue_is_walked_in_order(tree):
    found = read(tree / "catalog.json")
    assert ids(found) == ["S2A_one", "S2A_two", "S2A_three"]
    assert [one.item["collection"] for one in found] == [
        *("sentinel-2-l2a", "sentinel-2-l2a", "theirs-sentinel-2-l2a")
    ]
    hrefs = [one.item["assets"]["red"]["href"] for one in found]
    assert hrefs == [f"{tree}/a/one/red.tif", f"{tree}/shared/red.tif", "s3://bucket/red.tif"]
    assert found[0].item["links"][1]["href"] == f"{tree}/a/one/one.json"


def test_any_part_is_a_source(tree, monkeypatch):
    assert ids(read(tree / "a/collection.json")) == ["S2A_one", "S2A_two"]
    assert ids(read(tree / "b/catalog.json"))[0] == "S2A_three"
    both = read(tree / "b/c/three.json", tree / "a/one/one.json")
    assert ids(both) == ["S2A_three", "S2A_one"]
    assert both[0].item["collection"] == "sentinel-2-l2a"
    monkeypatch.chdir(tree / "a")
    assert ids(read("one/one.json")) == ["S2A_one"]
    assert read("one/one.json")[0].item["assets"]["red"]["href"] == f"{tree}/a/one/red.tif"
    assert ids(read((tree / "a/one/one.json").as_uri())) == ["S2A_one"]


def test_item_collection(tree):
    features = [make_item("S2A_x"), make_item("S2A_y")]
    features[0]["assets"]["red"]["href"] = "x/red.tif"
    path = write(tree / "found.json", {"type": "FeatureCollection", "features": features})
    found = read(path)
    assert ids(found) == ["S2A_x", "S2A_y"]
    assert found[0].item["assets"]["red"]["href"] == f"{tree}/x/red.tif"


def test_files_are_sifted_as_an_api_would(tree):
    assert ids(read(tree / "catalog.json", ids=["S2A_two"])) == ["S2A_two"]
    assert read(tree / "catalog.json", tile="31TCJ") == []
    assert len(read(tree / "catalog.json", tile="31UES", datetime="2019-05")) == 3
    assert read(tree / "catalog.json", datetime="2019-06") == []


def test_percent_signs_in_hrefs(tmp_path):
    item = make_item("S2A_x")
    item["assets"] = {
        "red": {"href": "with%20space/red.tif"},
        "blue": {"href": "100%25/blue.tif"},
        "nir": {"href": "vrt:///d/stack.tif?bands=4"},
        "green": {"href": "/vsizip//d/x.zip/in.tif"},
    }
    write(tmp_path / "with space/red.tif", "")
    write(tmp_path / "100%25/blue.tif", "")
    found = read(write(tmp_path / "item.json", item))[0].item["assets"]
    assert found["red"]["href"] == f"{tmp_path}/with space/red.tif"
    assert found["blue"]["href"] == f"{tmp_path}/100%25/blue.tif"
    assert found["nir"]["href"] == "vrt:///d/stack.tif?bands=4"
    assert found["green"]["href"] == "/vsizip//d/x.zip/in.tif"


# Broken files


def test_broken_parts_are_named_and_left_out(tree):
    (tree / "a/one/one.json").write_text('{"type": "Feature", ')
    shutil.rmtree(tree / "b/c")
    write(tree / "a/two/two.json", {**make_item("S2A_two"), "properties": {"datetime": "soon"}})
    found = read(tree / "catalog.json")
    assert all(isinstance(part, Skipped) for part in found)
    reasons = ids(found)
    assert reasons[0].startswith(f"{tree}/a/one/one.json: no JSON: ")
    assert f"{tree}/a/two/two.json" in reasons[1]
    assert "datetime" in reasons[1]
    assert reasons[2] == f"{tree}/b/c/collection.json: No such file or directory"
    assert not any("\n" in reason for reason in reasons)


@pytest.mark.parametrize(
    "damage",
    [
        {"bbox": "x"},
        {"properties": {"datetime": "2019-05-12T10:50:31Z", "grid:code": 5}, "geometry": []},
        {"assets": {"B02": {"href": "x", "bands": 5}}},
        {"assets": {"B02": {"href": "x", "raster:bands": ["x"]}}},
        {"stac_extensions": 5},
        {"links": "x", "geometry": {"type": "Polygon"}, "bbox": None},
    ],
    ids=str,
)
def test_oddly_broken_items_are_left_out(tmp_path, damage):
    good, bad = make_item("S2A_good"), {**make_item("S2A_bad"), **damage}
    path = write(tmp_path / "x.json", {"type": "FeatureCollection", "features": [bad, good]})
    found = read(path)
    assert ids(found)[-1] == "S2A_good"
    assert all("\n" not in reason for reason in ids(found))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no JSON"),
        ("<xml/>", "no JSON"),
        ("[1, 2]", "JSON, but no STAC"),
        ("{}", "no STAC catalogue, collection or item"),
        ('{"type": "FeatureCollection"}', "without features"),
        ("[" * 100_000, "no JSON"),
    ],
    ids=["empty", "xml", "list", "object", "features", "deep"],
)
def test_a_source_that_is_no_stac(tmp_path, content, message):
    path = write(tmp_path / "x.json", content)
    with pytest.raises(SourceError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_a_source_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(SourceError, match=r"x\.json: No such file or directory"):
        read(tmp_path / "x.json")
    with pytest.raises(SourceError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="not a text file"):
        read(tmp_path / "x.json")


# A server


class Server(ThreadingHTTPServer):
    """STAC API with pages of two items, and files below /files; every request is kept."""

    daemon_threads = True

    def __init__(self, items, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.items, self.files = items, files
        self.asked: list[dict] = []
        self.failures: list[int] = []
        self.conforms = ["core", "item-search", "item-search#query"]
        self.root = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(
            {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        )

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, asked):
        server, path = self.server, urlsplit(self.path).path
        if path == "/search":
            server.asked.append(asked)
        if server.failures and path == "/search":
            return self.send(server.failures.pop(0), {"description": "not now"})
        if path == "/search":
            return self.send(200, self.page(asked))
        if path.startswith("/files/"):
            file = server.files / path.removeprefix("/files/")
            return (
                self.send(200, json.loads(file.read_text()))
                if file.is_file()
                else self.send(404, {})
            )
        if path == "/collections/sentinel-2-l2a":
            items = links("/collections/sentinel-2-l2a/items", rel="items")
            return self.send(200, {**make_collection(), "links": items})
        return self.send(200, self.landing()) if path == "/" else self.send(404, {})

    def landing(self):
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "x",
            "conformsTo": [
                f"https://api.stacspec.org/v1.0.0/{one}" for one in self.server.conforms
            ],
            "links": [
                {"rel": "self", "href": self.server.root},
                {"rel": "root", "href": self.server.root},
                {"rel": "search", "href": f"{self.server.root}/search", "method": "POST"},
            ],
        }

    def page(self, asked):
        start = int(asked.get("token", 0))
        more = start + 2 < len(self.server.items)
        following = {
            "rel": "next",
            "href": f"{self.server.root}/search",
            "method": "POST",
            "body": {**asked, "token": str(start + 2)},
        }
        return {
            "type": "FeatureCollection",
            "features": self.server.items[start : start + 2],
            "links": [following] if more else [],
        }

    def send(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts):
        pass


@pytest.fixture
def server(tree, monkeypatch):
    monkeypatch.setattr(sources, "RETRY", sources.RETRY.new(backoff_factor=0.01))
    names = ["earth-search-v1", "planetary-computer", "copernicus-data-space", "earth-search-v0"]
    items = [json.loads((DATA / f"{name}.json").read_text()) for name in names]
    server = Server([*items, {"id": "broken"}], tree)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_static_catalogue_on_a_server(server):
    found = read(f"{server.root}/files/catalog.json")
    assert ids(found) == ["S2A_one", "S2A_two", "S2A_three"]
    hrefs = [one.item["assets"]["red"]["href"] for one in found]
    assert hrefs[:2] == [
        f"{server.root}/files/a/one/red.tif",
        f"{server.root}/files/shared/red.tif",
    ]
    with pytest.raises(SourceError, match=r"x\.json: "):
        read(f"{server.root}/files/x.json")


def test_api_pages_are_followed(server):
    found = read(server.root, collections=["sentinel-2-l2a", "sentinel-s2-l2a-cogs"])
    assert [request.get("token") for request in server.asked] == [None, "2", "4"]
    assert server.asked[0]["collections"] == ["sentinel-2-l2a", "sentinel-s2-l2a-cogs"]
    assert ids(found)[:4] == [item["id"] for item in server.items[:4]]
    assert isinstance(found[4], Skipped)
    assert "is no STAC item" in found[4].reason
    via = found[0].item["links"][1]["href"]
    assert via == "https://api.example/v1/collections/sentinel-2-l2a/items/S2B_31UES_20230607_0_L2A"


def test_api_is_asked_what_it_knows_and_sifted_for_the_rest(server):
    found = read(server.root, tile="31UES", max_cloud=10, datetime="2023-06/2025-06")
    assert ids(found)[:2] == ["S2B_31UES_20230607_0_L2A", server.items[2]["id"]]
    assert not any(isinstance(one, Found) for one in found[2:])
    asked = server.asked[0]
    assert asked["datetime"] == "2023-06-01T00:00:00Z/2025-07-01T00:00:00Z"
    assert asked["query"] == {"eo:cloud_cover": {"lte": 10}}
    west, south, east, north = asked["bbox"]
    assert west < 3.0 < 4.5 < east
    assert south < 50.45 < 51.45 < north
    assert "grid:code" not in str(asked)


def test_api_without_query_extension_is_not_asked_for_clouds(server):
    server.conforms = ["core", "item-search"]
    assert len(read(server.root, tile="31UES", max_cloud=10)) == 3
    assert "query" not in server.asked[0]


def test_api_items_of_two_tiles_come_once(server):
    found = read(server.root, tile=["31UES", "31UFS"])
    assert len(server.asked) == 6
    assert len([one for one in found if isinstance(one, Found)]) == 4
    assert len(found) == 5


def test_api_open_ends_and_ids(server):
    read(server.root, ids=["x"], datetime="../2019-01-31")
    assert server.asked[0]["ids"] == ["x"]
    assert server.asked[0]["datetime"] == "../2019-02-01T00:00:00Z"


def test_api_that_is_busy_is_asked_again(server):
    server.failures = [503, 429]
    assert len(read(server.root, collections=["sentinel-2-l2a"])) == 4
    assert len(server.asked) == 5


def test_api_that_stays_broken(server):
    server.failures = [503] * 20
    with pytest.raises(SourceError, match=rf"^{server.root}: the server fails again") as caught:
        read(server.root, collections=["sentinel-2-l2a"])
    assert "\n" not in str(caught.value)


def test_api_that_refuses(server):
    server.failures = [400]
    with pytest.raises(SourceError, match=f"^{server.root}: .*not now"):
        read(server.root, collections=["sentinel-2-l2a"])
    assert len(server.asked) == 1


def test_api_that_answers_nonsense(server):
    server.items = 5
    with pytest.raises(SourceError, match=f"^{server.root}: "):
        read(server.root, collections=["sentinel-2-l2a"])


def test_api_is_not_taken_whole(server):
    with pytest.raises(QueryError, match="say what to take of it"):
        read(server.root)
    with pytest.raises(SourceError, match="give the API's root"):
        read(f"{server.root}/collections/sentinel-2-l2a")


def test_unreachable_server(monkeypatch):
    monkeypatch.setattr(sources, "RETRY", Retry(total=1, backoff_factor=0.01))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(
        SourceError, match=rf"^http://127.0.0.1:{port}: connection refused"
    ) as caught:
        read(f"http://127.0.0.1:{port}", tile="31UES")
    assert "\n" not in str(caught.value)


# Tiles


@pytest.mark.parametrize(
    ("tile", "inside"),
    [
        ("31UES", [(3.0, 50.46), (4.55, 51.44)]),
        ("38KPE", [(45.96, -18.98), (46.98, -18.1)]),
        ("01KAB", [(179.25, -17.1), (-179.72, -16.2)]),
    ],
)
def test_tile_bbox(tile, inside):
    west, south, east, north = tile_bbox(tile)
    for longitude, latitude in inside:
        assert south < latitude < north
        if west <= east:
            assert west < longitude < east
        else:
            assert longitude > west or longitude < east
    assert (east - west) % 360 < 2.5


def test_tile_that_is_nowhere():
    with pytest.raises(QueryError, match="no MGRS tile 31UZZ"):
        tile_bbox("31UZZ")


@pytest.mark.shared
def test_the_real_catalogue(shared):
    found = read(shared / "s2-l2a-31UES" / "catalog.json")
    assert len(found) == 72
    assert all(isinstance(one, Found) and one.warnings == () for one in found)
    first = found[0].item
    assert first["properties"]["grid:code"] == "MGRS-31UES"
    assert len(first["assets"]) == 11
    assert all(Path(asset["href"]).is_file() for asset in first["assets"].values())
    assert {asset["raster:bands"][0]["nodata"] for asset in first["assets"].values()} == {0}
    months = {one.item["properties"]["datetime"][:7] for one in found}
    assert len(months) == 16

"""The STAC API in one process: what it answers, and how it refuses."""

import json
import zipfile

import pytest
from api_answers import L2A, TOKEN, ids, link, refused

from catalog.testing import fill, make_collection, make_item

# Core


def test_landing_page(catalog, api):
    fill(catalog, [])
    page = api.get("/").json()
    assert (page["type"], page["stac_version"], page["id"]) == ("Catalog", "1.1.0", "clearcube")
    assert link(page, "child")["href"] == "http://testserver/collections/sentinel-2-l2a"
    for rel in ("self", "root", "data", "conformance", "search", "service-desc", "service-doc"):
        assert api.get(link(page, rel)["href"]).status_code == 200, rel
    assert {each["method"] for each in page["links"] if each["rel"] == "search"} == {"GET", "POST"}
    assert set(page["conformsTo"]) == set(api.get("/conformance").json()["conformsTo"])
    for uri in (
        "https://api.stacspec.org/v1.0.0/item-search#sort",
        "https://api.stacspec.org/v1.1.0/item-search#sort",
        "http://www.opengis.net/spec/cql2/1.0/conf/spatial-functions",
        "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
    ):
        assert uri in page["conformsTo"]


def test_items_have_links_and_addresses_of_here(catalog, api):
    source = {"rel": "derived_from", "href": "../../cubes/items/31UES"}
    secret = {"rel": "via", "href": "/data/secret.xml"}
    item = make_item("a")
    item["links"] += [source, secret]
    item["assets"]["far"] = {"href": "s3://bucket/far.tif"}
    item["assets"]["band"] = {
        "href": "vrt:///data/x.tif?bands=2",
        "clearcube:file": "/data/x.tif",
        "clearcube:band": 2,
    }
    fill(catalog, [item])
    found = api.get(f"{L2A}/items/a")
    assert found.headers["content-type"] == "application/geo+json"
    shown = found.json()
    base = "http://testserver"
    assert link(shown, "self")["href"] == f"{base}{L2A}/items/a"
    assert link(shown, "derived_from")["href"] == f"{base}/collections/cubes/items/31UES"
    assert link(shown, "via") is None
    assert "/data/" not in found.text
    assert shown["assets"]["red"]["href"] == f"{base}/assets/sentinel-2-l2a/a/red"
    assert shown["assets"]["far"]["href"] == "s3://bucket/far.tif"
    file = f"{base}/assets/sentinel-2-l2a/a/band"
    assert shown["assets"]["band"] == {
        "href": f"vrt:///vsicurl/{file}?bands=2", "clearcube:file": file, "clearcube:band": 2,
    }  # fmt: skip


def test_queryables_have_types(catalog, api):
    fill(catalog, [])
    for path in ("/queryables", f"{L2A}/queryables"):
        found = api.get(path)
        assert found.headers["content-type"] == "application/schema+json"
        assert found.json()["properties"]["eo:cloud_cover"]["type"] == "number"
        assert found.json()["properties"]["datetime"]["format"] == "date-time"
    refused(api.get("/collections/x/queryables"), 404, "no collection 'x'")


def test_openapi_tells_every_route(api):
    described = api.get("/api")
    paths = described.json()["paths"]
    assert described.json()["openapi"] == "3.1.0"
    assert described.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.1"
    assert link(api.get("/").json(), "service-desc")["type"] == described.headers["content-type"]
    operations = [operation for path in paths.values() for operation in path.values()]
    for said in operations:
        assert said["tags"] != [], said
        assert said["description"].endswith("."), said
        assert said["description"] != "Endpoint.", said
    assert paths["/search"]["post"]["tags"] == ["Item Search"]
    assert set(paths["/search"]) == {"get", "post"}
    assert set(paths["/collections/{collection_id}/items/{item_id}"]) == {
        "get", "put", "patch", "delete",
    }  # fmt: skip


HEADS = [
    "/", "/conformance", "/collections", L2A, f"{L2A}/items/a", f"{L2A}/items/none", "/search",
    "/search?limit=x", "/api", "/docs", "/docs/start.js", "/queryables", "/nope",
]  # fmt: skip


@pytest.mark.parametrize("path", HEADS)
def test_head_is_get_without_its_body(filled, path):
    whole, head = filled.get(path), filled.head(path)
    assert whole.content != b""
    assert head.content == b""
    assert head.status_code == whole.status_code
    assert dict(head.headers) == dict(whole.headers)
    assert int(head.headers["content-length"]) > 0


def test_head_where_there_is_no_get(filled):
    path = f"{L2A}/bulk_items"
    assert filled.head(path).status_code == filled.get(path).status_code == 405


# Search


POINT = {"type": "Point", "coordinates": [1, 1]}
CQL2 = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "b c a"),
        ({"collections": ["cubes", "x"]}, "c"),
        ({"collections": "cubes", "limit": 1_000_000}, "c"),
        ({"ids": ["a", "c"]}, "c a"),
        ({"datetime": "1937-01-01T12:00:27.87+01:00"}, ""),
        ({"filter": {"op": "between", "args": [{"property": "eo:cloud_cover"}, [5, 11]]}}, "c a"),
        ({"bbox": [0.5, 0.5, 3, 3]}, "b a"),
        ({"bbox": [0.5, 0.5, -10, 3, 3, 10]}, "b a"),
        ({"intersects": POINT}, "b a"),
        ({"datetime": "2019-05-01T00:00:00Z"}, "a"),
        ({"datetime": "2019-05/2019-05"}, "c a"),
        ({"datetime": "../2019-05-02T00:00:00Z"}, "a"),
        ({"filter": "eo:cloud_cover < 20"}, "c a"),
        ({"filter": CQL2, "filter-lang": "cql2-json"}, "c a"),
        ({"filter": "S_INTERSECTS(geometry, POINT(1 1))", "filter-lang": "cql2-text"}, "b a"),
        ({"query": {"eo:cloud_cover": {"lt": "20"}}}, "c a"),
        ({"query": {"eo:cloud_cover": {"gt": 5}}, "filter": "eo:cloud_cover < 50"}, "c"),
        ({"sortby": [{"field": "properties.eo:cloud_cover", "direction": "asc"}]}, "a c b"),
        ({"sortby": [{"field": "id", "direction": "desc"}]}, "c b a"),
    ],
)  # fmt: skip
def test_search_by_post_and_get(filled, asked, expected):
    assert ids(filled.post("/search", json=asked)) == expected.split()
    flat = {name: _flat(name, value) for name, value in asked.items()}
    assert ids(filled.get("/search", params=flat)) == expected.split()


def _flat(name, value):
    if name == "sortby":
        return ",".join(
            ("-" if each["direction"] == "desc" else "+") + each["field"] for each in value
        )
    if isinstance(value, list):
        return ",".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else value


def test_pages_by_get_and_post(filled):
    for first in (
        filled.get("/search", params={"limit": 2, "sortby": "id", "filter": "TRUE"}),
        filled.post("/search", json={"limit": 2, "sortby": [{"field": "id"}], "filter": "TRUE"}),
        filled.get(f"{L2A}/items", params={"limit": 1, "sortby": "id"}),
    ):
        assert first.json()["numberMatched"] == (2 if "items" in first.url.path else 3)
        assert link(first.json(), "prev") is None
        second = _followed(filled, first.json(), "next")
        assert ids(second) == (["b"] if "items" in first.url.path else ["c"])
        assert link(second.json(), "next") is None
        assert ids(_followed(filled, second.json(), "prev")) == ids(first)


def _followed(api, document, rel):
    found = link(document, rel)
    if found["method"] == "POST":
        return api.post(found["href"], json=found["body"])
    return api.get(found["href"])


def test_fields(filled):
    def one(fields, body):
        by_get = filled.get("/search", params={"ids": "a", "fields": fields}).json()["features"]
        by_post = filled.post("/search", json={"ids": ["a"], "fields": body}).json()["features"]
        assert by_get == by_post
        return by_get[0]

    whole = one("", {})
    assert {"geometry", "assets", "bbox"} <= set(whole)
    assert "geometry" not in one("-geometry", {"exclude": ["geometry"]})
    assert set(one("-geometry", {"exclude": ["geometry"]})) == set(whole) - {"geometry"}
    few = one("id,properties.eo:cloud_cover", {"include": ["id", "properties.eo:cloud_cover"]})
    assert few["properties"] == {"eo:cloud_cover": 5}
    assert set(few) == {"type", "stac_version", "id", "collection", "links", "properties"}
    mixed = one(
        "-properties,+properties.datetime",
        {"exclude": ["properties"], "include": ["properties.datetime"]},
    )
    assert mixed["properties"] == {"datetime": "2019-05-01T00:00:00Z"}
    less = one(
        "properties,-properties.datetime",
        {"include": ["properties"], "exclude": ["properties.datetime"]},
    )
    assert set(less["properties"]) == {"eo:cloud_cover", "grid:code"}
    assert one("", {"include": None, "exclude": None}) == whole


def test_collection_search(catalog, api):
    wasp = {**make_collection("synthesis-wasp"), "title": "Monthly", "keywords": ["Clouds"]}
    wasp["extent"] = {
        "spatial": {"bbox": [[2, 49, 4, 51]]},
        "temporal": {"interval": [["2019-05-01T00:00:00Z", "2019-06-30T23:59:59Z"]]},
    }
    catalog.upsert_collections([make_collection("dem"), wasp])

    def found(**asked):
        answer = api.get("/collections", params=asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["numberReturned"] == len(answer.json()["collections"])
        return [each["id"] for each in answer.json()["collections"]]

    assert found() == ["dem", "synthesis-wasp"]
    assert found(q="monthly") == ["synthesis-wasp"]
    assert found(q="nothing,CLOUDS") == ["synthesis-wasp"]
    assert found(bbox="10,0,11,1") == ["dem"]
    assert found(datetime="2019-06-30/..") == ["dem", "synthesis-wasp"]
    assert found(datetime="2019-07") == ["dem"]
    assert found(sortby="-id") == ["synthesis-wasp", "dem"]
    assert found(limit=1) == ["dem"]
    page = api.get("/collections", params={"limit": 1}).json()
    assert page["numberMatched"] == 2
    second = api.get(link(page, "next")["href"]).json()
    assert [each["id"] for each in second["collections"]] == ["synthesis-wasp"]
    assert "next" not in [each["rel"] for each in second["links"]]
    titles = api.get("/collections", params={"fields": "title"}).json()["collections"]
    assert "keywords" not in titles[1]
    refused(api.get("/collections", params={"sortby": "extent"}), 400, "id or title")


# Refusals


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/search?bbox=1,2", ["has 2 numbers"]),
        ("/search?bbox=a,b,c,d", ["is not numbers"]),
        ("/search?bbox=0,10,1,5", ["south above north"]),
        ("/search?bbox=0,0,500,1", ["leaves the globe"]),
        ("/search?bbox=nan,0,1,1", ["not finite"]),
        ("/search?bbox=0,0,1,1&intersects={}", []),
        ("/search?intersects={", ["neither GeoJSON nor WKT"]),
        ('/search?intersects={"type":"Point","coordinates":["x",1]}', ["no usable GeoJSON"]),
        ("/search?datetime=2020/2019", ["ends before it starts"]),
        ("/search?datetime=", ["is no date"]),
        ("/search?datetime=2019-02-30", ["is no date"]),
        ("/search?limit=0", ["limit"]),
        ("/search?limit=-1", ["limit"]),
        ("/search?limit=10000001", ["limit"]),
        ("/search?limit=1e3", ["limit"]),
        ("/search?filter=eo:cloud_cover <", ["is no cql2-text", "character"]),
        ("/search?filter=foo(a)", ["'foo' is unknown"]),
        ("/search?filter=eo:cloud_cover=1&filter-lang=sql", ["cql2-text or cql2-json"]),
        ("/search?filter=a=1&filter-crs=EPSG:3857", ["CRS84"]),
        ("/search?query={", ["query is no JSON"]),
        ("/search?query=[]", ["no JSON object"]),
        ('/search?query={"a":{"like":1}}', ["no operator is called 'like'"]),
        ("/search?sortby=a b", ["no name of a property"]),
        ("/search?sortby=geometry", ["sorted by geometry"]),
        ("/search?token=x", ["no page of this search"]),
        ("/search?collection=cubes", ["'collection'", "collections"]),
        ("/collections?token=-1", ["no page of this search"]),
        (f"{L2A}/items?limit=1e9", ["limit"]),
    ],
)  # fmt: skip
def test_questions_that_mean_nothing(filled, path, words):
    refused(filled.get(path), 400, *words)


@pytest.mark.parametrize(
    "body",
    [
        {"bbox": [0, 0, 1]},
        {"bbox": "0,0,1,1"},
        {"bbox": [0, 0, 1, 1], "intersects": POINT},
        {"collections": 5},
        {"limit": 10**30},
        {"limit": "many"},
        {"datetime": 5},
        {"filter": 5},
        {"filter": {"op": "nope", "args": []}},
        {"filter": {"op": "not", "args": [{}]}},
        {"query": {"a": 5}},
        {"sortby": [{"field": "id", "direction": "up"}]},
        {"fields": {"include": "id"}},
        {"colections": ["cubes"]},
        {"ids": [None]},
        {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}},
        {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}},
        {"filter": "S_WITHIN(geometry, POLYGON((0 0, 1 0, 1 1)))"},
        [],
        "x",
        None,
    ],
)  # fmt: skip
def test_bodies_that_mean_nothing(filled, body):
    refused(filled.post("/search", json=body), 400)


def test_bodies_that_are_no_json(filled):
    headers = {"Content-Type": "application/json"}
    for content in (b"{", b"\xff\xfe", b"[" * 100_000):
        refused(filled.post("/search", content=content, headers=headers), 400)
    refused(filled.post("/search", content=b"{", headers=headers), 400, "no JSON")
    refused(filled.post("/search", content=b"{}"), 400, "Content-Type: application/json")


def test_unknown_things_tell_nothing(filled):
    refused(filled.get("/nope"), 404, "there is nothing here")
    refused(filled.get("/collections/x"), 404, "no collection 'x'")
    refused(filled.get("/collections/x/items"), 404, "no collection 'x'")
    refused(filled.get(f"{L2A}/items/zz"), 404, "no item 'zz'")
    refused(filled.get(f"{L2A}/items/a%2Fb"), 404)
    refused(filled.get(f"{L2A}/items/..%2F..%2Fetc"), 404)
    refused(filled.get("/collections/%00"), 404)
    refused(filled.delete("/conformance", headers=TOKEN), 405)


def test_a_broken_catalogue_is_503(catalog, api):
    catalog.close()
    refused(api.get("/search"), 503, "cannot be read or written")
    refused(api.get("/collections"), 503)


# Around


def test_pages_of_others_may_read(filled):
    answer = filled.get("/search", headers={"Origin": "https://example.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    asked = {"Origin": "https://example.com", "Access-Control-Request-Method": "PUT"}
    assert filled.options(f"{L2A}/items/a", headers=asked).status_code == 200


def test_answers_are_packed(filled):
    answer = filled.get("/search", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["features"]) == 3


# Files


@pytest.fixture
def files(catalog, api, tmp_path):
    folder = tmp_path / "data"
    (folder / "store.zarr/c").mkdir(parents=True)
    (folder / "red.tif").write_bytes(bytes(range(200)))
    (folder / "store.zarr/zarr.json").write_text("{}")
    (folder / "store.zarr/c/0").write_bytes(b"chunk")
    (folder / "secret.txt").write_text("secret")
    (folder / "store.zarr/out").symlink_to(folder / "secret.txt")
    with zipfile.ZipFile(folder / "p.zip", "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("in/b.jp2", bytes(range(250)) * 4)
    item = make_item("a")
    item["assets"] = {
        "red": {"href": str(folder / "red.tif"), "type": "image/tiff"},
        "store": {"href": str(folder / "store.zarr")},
        "b 1/2": {"href": f"/vsizip/{folder}/p.zip/in/b.jp2"},
        "gone": {"href": str(folder / "gone.tif")},
        "far": {"href": "https://example.com/x.tif"},
    }
    fill(catalog, [item])
    return {key: asset["href"] for key, asset in api.get(f"{L2A}/items/a").json()["assets"].items()}


def test_files_in_ranges(api, files):
    whole = api.get(files["red"])
    assert (whole.content, whole.headers["content-type"]) == (bytes(range(200)), "image/tiff")
    assert "content-encoding" not in whole.headers
    part = api.get(files["red"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert part.headers["content-range"] == "bytes 10-19/200"
    assert api.get(files["red"], headers={"Range": "bytes=-5"}).content == bytes(range(195, 200))
    assert api.get(files["red"], headers={"Range": "bytes=500-"}).status_code == 416
    assert api.head(files["red"]).headers["content-length"] == "200"
    zipped = api.get(files["b 1/2"], headers={"Range": "bytes=998-"})
    assert (zipped.status_code, zipped.content) == (206, bytes([248, 249]))
    assert api.get(files["b 1/2"]).content == bytes(range(250)) * 4
    assert api.head(files["b 1/2"]).headers["content-length"] == "1000"
    refused(api.get(files["b 1/2"], headers={"Range": "bytes=1000-1001"}), 416)


def test_folders_are_prefixes(api, files):
    assert api.get(f"{files['store']}/zarr.json").json() == {}
    assert api.get(f"{files['store']}/c/0").content == b"chunk"
    refused(api.get(f"{files['store']}/c/1"), 404)
    refused(api.get(files["store"]), 404, "folder")
    refused(api.get(f"{files['store']}/c"), 404)


OUTSIDE = [
    "store/../secret.txt", "store/..%2Fsecret.txt", "store/%2e%2e/secret.txt", "store/out",
    "store//etc/passwd", "store/%2Fetc%2Fpasswd", "store/..%5Csecret.txt", "store/c%00",
    "gone", "far", "none", "red/x", "..%2F..%2Fsecret.txt", "far/x",
]  # fmt: skip
"""What no asset names."""


def test_no_other_file_is_served(api, files):
    for path in OUTSIDE:
        answer = api.get(f"/assets/sentinel-2-l2a/a/{path}")
        assert answer.status_code == 404, path
        assert b"secret" not in answer.content.replace(b"secret.txt", b"")
        assert b"/tmp" not in answer.content


def test_files_of_no_item(api, files):
    refused(api.get("/assets/sentinel-2-l2a/b/red"), 404, "no item 'b'")
    refused(api.get("/assets/x/a/red"), 404)

"""The STAC API in one process: what it answers, and how it refuses."""

import json
import zipfile

import pytest
from starlette.testclient import TestClient

from catalog.api.app import create_app
from catalog.api.settings import ServerSettings
from catalog.backends import open_catalog
from catalog.testing import fill, make_collection, make_item

TOKEN = {"Authorization": "Bearer secret-token"}
L2A = "/collections/sentinel-2-l2a"


@pytest.fixture(params=["sqlite", "pgstac"])
def catalog(request, tmp_path):
    url = f"sqlite:///{tmp_path}/catalog.db"
    if request.param == "pgstac":
        url = request.getfixturevalue("pgstac_url")
    with open_catalog(url) as catalog:
        yield catalog


@pytest.fixture
def api(catalog):
    return client_of(catalog)


def client_of(catalog, **settings):
    app = create_app(catalog, ServerSettings(**{"token": "secret-token", **settings}))
    return TestClient(app, raise_server_exceptions=False)


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["features"]]


def refused(answer, status, *words):
    """The one sentence that says why, checked to hold some words and no more than that."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "description"}
    said = answer.json()["description"]
    assert "\n" not in said
    assert len(said) <= 400
    for word in ("Traceback", "/tmp", "/work", "site-packages"):
        assert word not in said
    for word in words:
        assert word in said, said
    return said


def link(document, rel):
    found = [each for each in document["links"] if each["rel"] == rel]
    return found[0] if found else None


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
    paths = api.get("/api").json()["paths"]
    assert set(paths["/search"]) == {"get", "post"}
    assert set(paths["/collections/{collection_id}/items/{item_id}"]) == {
        "get", "put", "patch", "delete",
    }  # fmt: skip


# Search


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def full(request, tmp_path_factory):
    """A catalogue that is only read, and its API."""
    url = f"sqlite:///{tmp_path_factory.mktemp('full')}/catalog.db"
    if request.param == "pgstac":
        url = request.getfixturevalue("pgstac_other_database")
    catalog = open_catalog(url)
    fill(
        catalog,
        [
            make_item("a", eo__cloud_cover=5, bbox=(0, 0, 1, 1), datetime="2019-05-01T00:00:00Z"),
            make_item("b", eo__cloud_cover=50, bbox=(1, 1, 2, 2), datetime="2019-06-01T00:00:00Z"),
            make_item("c", eo__cloud_cover=10.5, collection="cubes", bbox=(5, 5, 6, 6)),
        ],
    )
    with catalog:
        yield catalog, client_of(catalog)


@pytest.fixture
def filled(full):
    return full[1]


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


# Writing


def test_writes_need_the_token(full):
    catalog, filled = full
    writes = [
        ("POST", "/collections"), ("PUT", L2A), ("PATCH", L2A), ("DELETE", L2A),
        ("POST", f"{L2A}/items"), ("POST", f"{L2A}/bulk_items"), ("PUT", f"{L2A}/items/a"),
        ("PATCH", f"{L2A}/items/a"), ("DELETE", f"{L2A}/items/a"), ("POST", "/nope"), ("FOO", "/"),
    ]  # fmt: skip
    closed = client_of(catalog, token="")
    for method, path in writes:
        answer = filled.request(method, path, json={})
        refused(answer, 401, "Authorization: Bearer")
        assert answer.headers["www-authenticate"] == "Bearer"
        for header in ("Bearer wrong", "Basic secret", "Bearer", "secret-x"):
            refused(filled.request(method, path, json={}, headers={"Authorization": header}), 401)
        refused(closed.request(method, path, json={}), 403, "takes no writes")
        refused(closed.request(method, path, json={}, headers={"Authorization": "Bearer "}), 403)
    assert len(ids(filled.get("/search"))) == 3


def test_items_are_made_replaced_and_deleted(catalog, api):
    fill(catalog, [])
    item = make_item("a", eo__cloud_cover=5)
    item["assets"] = {"red": {"href": "https://example.com/red.tif"}}
    made = api.post(f"{L2A}/items", json=item, headers=TOKEN)
    assert made.status_code == 201
    assert made.headers["location"] == f"http://testserver{L2A}/items/a"
    assert api.get(made.headers["location"]).headers["etag"] == made.headers["etag"]
    refused(api.post(f"{L2A}/items", json=item, headers=TOKEN), 409, "'a' is there already")
    item["properties"]["eo:cloud_cover"] = 7
    put = api.put(f"{L2A}/items/a", json=item, headers=TOKEN)
    assert (put.status_code, put.json()["properties"]["eo:cloud_cover"]) == (200, 7)
    assert put.headers["etag"] != made.headers["etag"]
    refused(api.put(f"{L2A}/items/b", json=item, headers=TOKEN), 404, "no item 'b'")
    refused(api.post("/collections/x/items", json=item, headers=TOKEN), 404, "no collection 'x'")
    other = {**item, "id": "b"}
    refused(api.put(f"{L2A}/items/a", json=other, headers=TOKEN), 400, "'b'")
    refused(api.post(f"{L2A}/items", json={**other, "collection": "x"}, headers=TOKEN), 400, "'x'")
    assert api.delete(f"{L2A}/items/a", headers=TOKEN).status_code == 204
    refused(api.delete(f"{L2A}/items/a", headers=TOKEN), 404, "no item 'a'")


def test_what_was_shown_can_be_put_back(catalog, api):
    item = make_item("a")
    item["links"].append({"rel": "derived_from", "href": "../../cubes/items/31UES"})
    item["assets"]["band"] = {
        "href": "vrt:///data/x.tif?bands=2",
        "clearcube:file": "/data/x.tif",
        "clearcube:band": 2,
    }
    fill(catalog, [item])
    shown = api.get(f"{L2A}/items/a").json()
    assert api.put(f"{L2A}/items/a", json=shown, headers=TOKEN).status_code == 200
    kept = catalog.item("sentinel-2-l2a", "a")
    assert kept["assets"] == item["assets"]
    assert kept["links"][1] == item["links"][1]
    collection = api.get(L2A).json()
    assert api.put(L2A, json=collection, headers=TOKEN).status_code == 200
    assert catalog.collection("sentinel-2-l2a") == make_collection()


def test_clients_name_no_files_of_the_server(catalog, api):
    fill(catalog, [])
    for href in ("/etc/passwd", "file:///etc/passwd", "vrt:///etc/x?bands=1", "/vsizip//a.zip/b"):
        item = make_item("a")
        item["assets"] = {"red": {"href": href}}
        refused(api.post(f"{L2A}/items", json=item, headers=TOKEN), 400, "file of the server")
        bulk = {"items": {"a": item}, "method": "upsert"}
        refused(api.post(f"{L2A}/bulk_items", json=bulk, headers=TOKEN), 400, "file of the server")
    for href in (
        "../../etc/passwd", "passwd", "/vsigzip//etc/a.gz", "/vsisubfile/0_9,/etc/passwd",
        "/vsicurl/file:///etc/passwd", "/vsicurl?pc_url_signing=yes&url=file%3A%2F%2F%2Fetc%2Fpasswd",
        "NETCDF:/etc/a.nc:b", "vrt://../a.tif?bands=1", "<VRTDataset/>",
    ):  # fmt: skip
        item["assets"] = {"red": {"href": href}}
        refused(api.post(f"{L2A}/items", json=item, headers=TOKEN), 400, "give an address")
    remote = ("https://h/a.tif", "s3://b/a.tif", "/vsis3/b/a", "vrt:///vsicurl/https://h/a?bands=1")
    item["assets"] = {str(number): {"href": href} for number, href in enumerate(remote)}
    assert api.post(f"{L2A}/items", json=item, headers=TOKEN).status_code == 201
    patch = {"assets": {"red": {"href": "/etc/passwd"}}}
    refused(api.patch(f"{L2A}/items/a", json=patch, headers=TOKEN), 400, "file of the server")


def test_patches(catalog, api):
    fill(catalog, [make_item("a", eo__cloud_cover=5, note="x")])
    merge = {"properties": {"eo:cloud_cover": 9, "note": None}}
    found = api.patch(f"{L2A}/items/a", json=merge, headers=TOKEN)
    assert found.status_code == 200, found.text
    assert found.json()["properties"]["eo:cloud_cover"] == 9
    assert "note" not in found.json()["properties"]
    assert catalog.item("sentinel-2-l2a", "a")["assets"] == make_item("a")["assets"]
    operations = [
        {"op": "test", "path": "/properties/eo:cloud_cover", "value": 9},
        {"op": "move", "from": "/properties/eo:cloud_cover", "path": "/properties/eo:snow_cover"},
    ]
    found = api.patch(f"{L2A}/items/a", json=operations, headers=TOKEN)
    assert found.json()["properties"]["eo:snow_cover"] == 9
    refused(api.patch(f"{L2A}/items/a", json=operations, headers=TOKEN), 412)
    bad = [{"op": "remove", "path": "/properties/nothing"}]
    refused(api.patch(f"{L2A}/items/a", json=bad, headers=TOKEN), 400, "cannot be applied")
    refused(api.patch(f"{L2A}/items/a", json=[{"op": 5}], headers=TOKEN), 400)
    for operation, status in (
        ({"op": "test", "path": "/assets/red/href", "value": "x"}, 412),
        ({"op": "add", "path": "/assets/red/nothing/x", "value": 1}, 400),
        ({"op": "copy", "from": "/assets/nothing/x", "path": "/x"}, 400),
    ):
        said = refused(api.patch(f"{L2A}/items/a", json=[operation], headers=TOKEN), status)
        assert "/data" not in said
    refused(api.patch(f"{L2A}/items/a", json={"id": "b"}, headers=TOKEN), 400, "id")
    refused(
        api.patch(f"{L2A}/items/a", json={"properties": {"datetime": None}}, headers=TOKEN), 400
    )
    titled = api.patch(L2A, json={"title": "Scenes"}, headers=TOKEN)
    assert titled.json()["title"] == "Scenes"
    removed = api.patch(L2A, json=[{"op": "remove", "path": "/title"}], headers=TOKEN)
    assert "title" not in removed.json()
    refused(api.patch(L2A, json={"extent": None}, headers=TOKEN), 400)


def test_etags_guard_what_others_wrote(catalog, api):
    fill(catalog, [make_item("a", note="x")])
    old = api.get(f"{L2A}/items/a").headers["etag"]
    assert api.get(f"{L2A}/items/a", headers={"If-None-Match": old}).status_code == 304
    patch = {"properties": {"note": "y"}}
    match = {**TOKEN, "If-Match": old}
    assert api.patch(f"{L2A}/items/a", json=patch, headers=match).status_code == 200
    refused(api.patch(f"{L2A}/items/a", json=patch, headers=match), 412, "ETag")
    refused(api.delete(f"{L2A}/items/a", headers=match), 412)
    refused(api.put(f"{L2A}/items/a", json=make_item("a"), headers=match), 412)
    new = {**TOKEN, "If-Match": api.get(f"{L2A}/items/a").headers["etag"]}
    assert api.delete(f"{L2A}/items/a", headers=new).status_code == 204
    refused(api.delete(L2A, headers=match), 412)
    assert api.delete(L2A, headers={**TOKEN, "If-Match": "*"}).status_code == 204


def test_many_items_are_all_or_none(catalog, api):
    fill(catalog, [])
    items = [make_item(name) for name in "abc"]
    for item in items:
        item["assets"] = {}
    features = {"type": "FeatureCollection", "features": items[:2]}
    made = api.post(f"{L2A}/items", json=features, headers=TOKEN)
    assert (made.status_code, made.json()) == (201, {"created": 2})
    features["features"] = items[1:]
    refused(api.post(f"{L2A}/items", json=features, headers=TOKEN), 409, "'b'")
    bulk = {"items": {item["id"]: item for item in items}}
    refused(api.post(f"{L2A}/bulk_items", json=bulk, headers=TOKEN), 409, "'a'")
    assert len(ids(api.get("/search"))) == 2
    done = api.post(f"{L2A}/bulk_items", json={**bulk, "method": "upsert"}, headers=TOKEN)
    assert done.json() == {"received": 3, "success": 1, "skipped": 2, "errors": []}
    bad = {"items": {"d": {**items[0], "id": "e"}}}
    refused(api.post(f"{L2A}/bulk_items", json=bad, headers=TOKEN), 400, "'d'")
    bad = {"items": {"d": {**items[0], "id": "d", "properties": {}}}}
    refused(api.post(f"{L2A}/bulk_items", json=bad, headers=TOKEN), 400, "'d'", "datetime")


def test_collections_are_made_replaced_and_deleted(catalog, api):
    given = make_collection("new")
    made = api.post("/collections", json=given, headers=TOKEN)
    assert (made.status_code, made.headers["location"]) == (
        201, "http://testserver/collections/new",
    )  # fmt: skip
    refused(api.post("/collections", json=given, headers=TOKEN), 409, "'new'")
    changed = api.put("/collections/new", json={**given, "title": "New"}, headers=TOKEN)
    assert changed.json()["title"] == "New"
    refused(api.put("/collections/old", json=given, headers=TOKEN), 404, "'old'")
    for bad in ({**given, "id": "a/b"}, {**given, "extent": {}}, {"id": "x"}, {}):
        refused(api.post("/collections", json=bad, headers=TOKEN), 400)
    extent = {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [["yesterday", None]]}}
    refused(
        api.post("/collections", json={**given, "id": "x", "extent": extent}, headers=TOKEN), 400
    )
    fill(catalog, [make_item("a", collection="new")])
    assert api.delete("/collections/new", headers=TOKEN).status_code == 204
    assert ids(api.get("/search")) == []
    refused(api.delete("/collections/new", headers=TOKEN), 404)


BROKEN = [
    {"id": "a/b"}, {"id": ""}, {"id": None}, {"type": "Thing"}, {"geometry": {"type": "Blob"}},
    {"properties": None}, {"assets": None}, {"assets": {"x": {}}}, {"links": 5}, {"bbox": [1]},
    {"stac_version": "0.9"}, {"properties": {"datetime": "now"}}, {"links": ["x"]},
    {"bbox": [0, 50, 1, 40]}, {"properties": {"datetime": "2019-01-01T00:00:00Z", "x": "\ud800"}},
]  # fmt: skip
"""What makes an item none."""


def test_items_that_are_none(catalog, api):
    fill(catalog, [])
    for change in BROKEN:
        item = {**make_item("a"), "assets": {}, **change}
        refused(api.post(f"{L2A}/items", content=json.dumps(item), headers=TOKEN), 400)
    assert ids(api.get("/search")) == []


def test_large_bodies_are_not_read(full):
    catalog, filled = full
    small = client_of(catalog, max_body=2000)
    refused(small.post("/search", json={"ids": ["x" * 3000]}), 413, "2000 bytes")
    pieces = (b"x" * 100 for _ in range(100))
    refused(small.post("/search", content=pieces), 413, "2000 bytes")
    assert small.post("/search", json={}).status_code == 200
    refused(filled.post("/search", content=b"x" * 50_000_000), 413)


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

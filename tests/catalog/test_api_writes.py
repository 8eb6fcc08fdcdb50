"""The STAC API's transactions: who may write, what is kept, what is refused."""

import json

from api_answers import L2A, TOKEN, client_of, ids, refused

from catalog.testing import fill, make_collection, make_item


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

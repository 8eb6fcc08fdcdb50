"""The SQLite backend: the common suite, and what is its own."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.backends import open_catalog
from catalog.backends.base import Counts, search_all
from catalog.backends.contract import BackendTests
from catalog.backends.sqlite import SqliteCatalog
from catalog.backends.sqlite_schema import SCHEMA_VERSION
from catalog.errors import BackendError
from catalog.moments import ticks
from catalog.search import Query, matches, parse_query, tile_of, times_of
from catalog.testing import fill, found, make_collection, make_item


class TestSqlite(BackendTests):
    @pytest.fixture
    def catalog(self, tmp_path):
        with open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
            yield catalog


# Opening


def test_url_opens_the_same_file_again(tmp_path):
    with open_catalog(f"sqlite:///{tmp_path}/new/folder/catalog.db") as catalog:
        fill(catalog, [make_item("a")])
        url = catalog.url
    with open_catalog(url) as catalog:
        assert [item["id"] for item in catalog.search(Query()).items] == ["a"]


def test_three_slashes_are_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_catalog("sqlite:///here.db").close()
    assert (tmp_path / "here.db").is_file()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://db/x", "'mysql' is no kind of catalogue"),
        ("catalog.db", "this is no URL"),
        ("sqlite://", "use sqlite:///PATH"),
    ],
)
def test_other_urls_are_refused(url, message):
    with pytest.raises(BackendError, match=message) as caught:
        open_catalog(url)
    assert "secret" not in str(caught.value)


def test_absent_file_without_create(tmp_path):
    with pytest.raises(BackendError, match=r"catalog\.db: no such file"):
        open_catalog(f"sqlite:///{tmp_path}/catalog.db", create=False)
    assert list(tmp_path.iterdir()) == []


BEFORE = """
CREATE TABLE collections (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (rid INTEGER PRIMARY KEY, collection TEXT NOT NULL REFERENCES collections (id),
    id TEXT NOT NULL, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, tile TEXT, content TEXT NOT NULL,
    UNIQUE (collection, id));
CREATE INDEX items_order ON items (t0 DESC, collection, id, t1);
CREATE INDEX items_tile ON items (tile, t0 DESC, collection, id, t1);
CREATE INDEX items_id ON items (id);
CREATE VIRTUAL TABLE items_box USING rtree (rid, west, east, south, north, first, last);
CREATE TRIGGER items_gone AFTER DELETE ON items BEGIN
    DELETE FROM items_box WHERE rid = old.rid; END;
PRAGMA application_id = 1668047714;
"""
MORE = """
CREATE INDEX items_collection ON items (collection, t0 DESC, id, t1);
CREATE INDEX items_cloud ON items (json_extract(content, '$.id'));
"""


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_version_is_made_anew(tmp_path, version):
    path = tmp_path / "catalog.db"
    period = {"start_datetime": "2019-05-01T00:00:00Z", "end_datetime": "2019-05-31T23:59:59Z"}
    given = [
        make_item("a", eo__cloud_cover=5, clearcube__level="l2a", note="é", big=1e300),
        make_item("b", datetime=None, **period, clearcube__superseded_by="a", tile=None),
        make_item("c", eo__cloud_cover="5", bbox=None, datetime="2019-05-13T00:00:00.000001Z"),
    ]
    with sqlite3.connect(path) as db:
        db.executescript(BEFORE + MORE * (version == 2) + f"PRAGMA user_version = {version};")
        text = json.dumps(make_collection("sentinel-2-l2a"))
        db.execute("INSERT INTO collections VALUES ('sentinel-2-l2a', ?)", (text,))
        for rid, item in enumerate(given):
            first, last = map(ticks, times_of(item))
            values = (rid, item["collection"], item["id"], first, last, tile_of(item))
            text = json.dumps(item)
            db.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, text))
            if item.get("bbox"):
                box = (4, 5, 50, 51, first / 86.4e9, last / 86.4e9)
                db.execute("INSERT INTO items_box VALUES (?, ?, ?, ?, ?, ?, ?)", (rid, *box))
    db.close()
    with open_catalog(f"sqlite:///{path}") as catalog:
        assert {item["id"]: item for item in catalog.search(Query()).items} == {
            item["id"]: item for item in given
        }
        for asked, names in (
            ({"max_cloud": 5}, ["a"]),
            ({"level": "l2a"}, ["a"]),
            ({"superseded": False}, ["c", "a"]),
            ({"tile": "31UES"}, ["c", "a"]),
            ({"filter": "grid:code = 'MGRS-31UES'"}, ["c", "a"]),
            ({"bbox": (4, 50, 4.5, 50.5)}, ["a", "b"]),
            ({"datetime": "2019-05-31"}, ["b"]),
            ({"filter": "note = 'é' AND big > 1e299"}, ["a"]),
            ({"filter": "S_INTERSECTS(geometry, POINT(4.5 50.5))"}, ["a", "b"]),
        ):
            assert found(catalog, **asked) == names, asked
        assert catalog.upsert_items(given) == Counts(unchanged=3)
        assert catalog.search(Query(limit=1)).matched == 3
        assert catalog.delete_items([("sentinel-2-l2a", "b")]) == 1
        assert found(catalog, bbox=(4, 50, 5, 51)) == ["a"]
        assert catalog.search(Query(limit=1)).matched == 2
    with sqlite3.connect(path) as db, sqlite3.connect(tmp_path / "new.db") as new:
        open_catalog(f"sqlite:///{tmp_path}/new.db").close()
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        schema = "SELECT name, sql FROM sqlite_schema ORDER BY name"
        assert db.execute(schema).fetchall() == new.execute(schema).fetchall()
        assert db.execute("SELECT rtreecheck('items_box')").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM documents").fetchone() == (2,)
    db.close()
    new.close()


def test_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "catalog.db"
    open_catalog(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(BackendError, match=r"catalog\.db: it is of version 4.*upgrade clearcube"):
        open_catalog(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look at" * 40, b"PK\3\4zip"]
)
def test_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "catalog.db"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"catalog\.db: file is not a database") as caught:
        open_catalog(f"sqlite:///{path}")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_database_of_another_program_is_refused(tmp_path):
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(BackendError, match="no catalogue of clearcube"):
        open_catalog(f"sqlite:///{path}")


def test_folder_and_file_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="unable to open database file; check"):
        open_catalog(f"sqlite:///{tmp_path}/folder")
    with pytest.raises(BackendError, match=r"file/catalog\.db: "):
        open_catalog(f"sqlite:///{tmp_path}/file/catalog.db")


# Writing


def test_full_disk_leaves_the_catalogue_as_it_was(tmp_path):
    catalog = SqliteCatalog(tmp_path / "catalog.db")
    with catalog:
        fill(catalog, [make_item("a")])
        db = catalog._connection()
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(BackendError, match="full; make room") as caught:
            catalog.upsert_items([make_item(f"b{number}") for number in range(500)])
        assert "\n" not in str(caught.value)
        assert catalog.search(Query()).matched == 1


def test_read_only_says_so(tmp_path):
    catalog = SqliteCatalog(tmp_path / "catalog.db")
    with catalog:
        catalog._connection().execute("PRAGMA query_only = ON")
        with pytest.raises(BackendError, match="readonly database; check that file and folder"):
            fill(catalog, [make_item("a")])


def test_upsert_of_the_same_writes_nothing(tmp_path):
    path = tmp_path / "catalog.db"
    with open_catalog(f"sqlite:///{path}") as catalog:
        fill(catalog, [make_item(f"i{number}") for number in range(10)])
    before = path.read_bytes()
    with open_catalog(f"sqlite:///{path}") as catalog:
        assert fill(catalog, [make_item(f"i{number}") for number in range(10)]).unchanged == 10
        wal = Path(f"{path}-wal")
        assert not wal.exists() or wal.stat().st_size == 0
    assert path.read_bytes() == before


WRITER = """
import sys
from catalog.backends import open_catalog
from catalog.testing import fill, make_item
with open_catalog(sys.argv[1]) as catalog:
    fill(catalog, [])
    for number in range(60):
        catalog.upsert_items([make_item(f"{sys.argv[2]}{number}"), make_item(f"both{number}")])
"""


def test_two_processes_write(tmp_path):
    url = f"sqlite:///{tmp_path}/catalog.db"
    # Both also make the file: neither finds it there.
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, name], stderr=subprocess.PIPE)
        for name in "ab"
    ]
    said = [writer.communicate()[1].decode() for writer in writers]
    assert [(writer.returncode, text) for writer, text in zip(writers, said, strict=True)] == [
        (0, "")
    ] * 2
    with open_catalog(url) as catalog:
        assert catalog.search(Query()).matched == 180
    db = sqlite3.connect(tmp_path / "catalog.db")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("SELECT rtreecheck('items_box')").fetchone() == ("ok",)
    db.close()


def test_forked_process_opens_its_own_connection(tmp_path):
    with open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        fill(catalog, [make_item("a")])
        child = os.fork()
        if child == 0:
            done = catalog.upsert_items([make_item("b")]) == Counts(created=1)
            os._exit(0 if done else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert catalog.search(Query()).matched == 2


@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({"tile": "31UES"}, "items_tile (tile=?)"),
        ({"tile": "31UES", "datetime": "2019"}, "items_tile (tile=?"),
        ({"filter": "grid:code = 'MGRS-31UES'"}, "items_tile (tile=?)"),
        ({"filter": "eo:cloud_cover < 5 AND grid:code = 'MGRS-31UES'"}, "items_tile (tile=?)"),
        ({"sortby": "-eo:cloud_cover"}, "items_cloud"),
        ({"filter": "grid:code = 'MGRS-31UES' OR id = 'a'"}, "items_collection (collection=?)"),
        ({"datetime": "2019"}, "items_collection (collection=? AND t0>? AND t0<?)"),
    ],
)
def test_a_page_goes_by_the_index_that_keeps_few(tmp_path, conditions, index):
    with SqliteCatalog(tmp_path / "catalog.db") as catalog:
        fill(catalog, [make_item("a")])
        db, plans = catalog._connection(), []
        db.set_trace_callback(plans.append)
        assert found(catalog, collections=["sentinel-2-l2a"], **conditions) in (["a"], [])
        db.set_trace_callback(None)
        (page,) = [text for text in plans if text.startswith("SELECT rid FROM items")]
        said = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {page}"))
    assert index in said


# Search against the plain definition

DAYS = st.integers(0, 20).map(lambda day: f"2019-05-{day + 1:02d}T10:50:31Z")
# Few distinct places, so that items and questions meet, and edges touch.
LONGITUDES = st.sampled_from([-180.0, -179.5, -1.0, 0.0, 5e-324, 1.1, 4.000000001, 179.5, 180.0])
LATITUDES = st.sampled_from([-90.0, -17.0, 0.0, 1e-12, 50.0, 50.00000001, 90.0])


@st.composite
def boxes(draw):
    south, north = sorted((draw(LATITUDES), draw(LATITUDES)))
    return draw(LONGITUDES), south, draw(LONGITUDES), north


@st.composite
def items(draw):
    return {
        "collection": draw(st.sampled_from(["sentinel-2-l2a", "cubes"])),
        "bbox": draw(st.none() | boxes()),
        "tile": draw(st.none() | st.sampled_from(["31UES", "31TCJ"])),
        "clearcube__level": draw(st.sampled_from(["l2a", "maja"])),
        "eo__cloud_cover": draw(st.sampled_from([None, 0, 10.5, 100, "12", True])),
        "clearcube__superseded_by": draw(st.none() | st.just("other")),
        **draw(
            st.fixed_dictionaries({"datetime": DAYS})
            | st.tuples(DAYS, DAYS).map(
                lambda ends: {
                    "datetime": None,
                    "start_datetime": min(ends),
                    "end_datetime": max(ends),
                }
            )
        ),
    }


@st.composite
def queries(draw):
    days = draw(st.none() | st.tuples(st.integers(1, 22), st.integers(0, 9)))
    span = None
    if days is not None:
        span = f"2019-05-{days[0]:02d}/2019-05-{days[0] + days[1]:02d}"
    return parse_query(
        collections=draw(st.sampled_from([[], ["cubes"], ["cubes", "sentinel-2-l2a"], ["x"]])),
        ids=draw(st.sampled_from([[], ["i0", "i3", "zz"]])),
        bbox=draw(st.none() | boxes()),
        datetime=span,
        tile=draw(st.sampled_from([[], ["31UES"], ["31UES", "31TCJ"]])),
        level=draw(st.none() | st.just("l2a")),
        max_cloud=draw(st.none() | st.sampled_from([0, 11])),
        superseded=draw(st.booleans()),
        limit=draw(st.integers(1, 10)),
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(made=st.lists(items(), max_size=12), asked=st.lists(queries(), min_size=1, max_size=8))
def test_search_is_the_filter_by_matches(tmp_path_factory, made, asked):
    documents = [make_item(f"i{number}", **values) for number, values in enumerate(made)]
    path = tmp_path_factory.mktemp("db") / "catalog.db"
    with open_catalog(f"sqlite:///{path}") as catalog:
        fill(catalog, documents)
        for query in asked:
            expected = {item["id"] for item in documents if matches(item, query)}
            got = [item["id"] for item in search_all(catalog, query)]
            assert len(got) == len(set(got))
            assert set(got) == expected
            assert catalog.search(query).matched == len(expected)

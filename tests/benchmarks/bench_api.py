"""What a search costs over HTTP, beside stac-fastapi-pgstac; run as a script.

``python tests/benchmarks/bench_api.py [ITEMS]``, 100 000 where nothing is said. Sentinel-2-like
items of 1.9 kB with five assets, over Europe and seven years. One client, one request at a
time, a new bbox (3 degrees) and 60 days in each; the peer is asked the same, in turns, and has the
same items from pypgstac's loader. Then 16 clients search and write at once for
a minute. Needs PostgreSQL with PostGIS, and stac-fastapi-pgstac.
"""

import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from catalog.backends import open_catalog
from catalog.testing import make_collection, make_item

ROUNDS = 150
BATCH = 1000
CLIENTS = 16
CROWD_SECONDS = 60
COLLECTION = "sentinel-2-l2a"
OURS = (
    "import sys, uvicorn; from catalog.backends import open_catalog; "
    "from catalog.api.app import create_app; "
    "uvicorn.run(create_app(open_catalog(sys.argv[1])), port=int(sys.argv[2]), log_level='error')"
)
PEER = (
    "import sys, uvicorn; from stac_fastapi.pgstac.app import create_app; "
    "uvicorn.run(create_app(), port=int(sys.argv[1]), log_level='error')"
)


def main() -> int:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name, postgres() as server:
        folder = Path(name)
        sqlite = f"sqlite:///{folder}/catalog.db"
        say(f"{count} items")
        fill(sqlite, count)
        load(folder, server, count)
        with (
            serving(OURS, sqlite) as ours,
            serving(OURS, f"{server}/bench") as ours_pgstac,
            serving(PEER, environment=peer_settings(f"{server}/bench")) as peer,
        ):
            ask({"SQLite": ours, "pgstac, this API": ours_pgstac, "stac-fastapi-pgstac": peer})
            bulk(ours)
            crowd(ours, count)
    return 0


def items(count: int) -> Iterator[dict[str, Any]]:
    """Items, the same in every run."""
    rng = random.Random(1)
    start = datetime(2017, 1, 1, tzinfo=UTC)
    for number in range(count):
        west, south = rng.uniform(-15, 35), rng.uniform(35, 70)
        time_ = start + timedelta(seconds=rng.randrange(7 * 365 * 86_400))
        item = make_item(
            f"S2A_MSIL2A_{time_:%Y%m%dT%H%M%S}_N0500_R{number % 143:03d}_{number:07d}",
            bbox=(west, south, west + 1.4, south + 1.0),
            datetime=f"{time_:%Y-%m-%dT%H:%M:%SZ}",
            tile=f"{number % 60 + 1:02d}UES",
            platform=f"sentinel-2{'ab'[number % 2]}",
            eo__cloud_cover=round(rng.uniform(0, 100), 2),
            s2__product_uri=f"S2A_MSIL2A_{time_:%Y%m%dT%H%M%S}_N0500.SAFE",
        )
        for key in ("blue", "green", "red", "nir", "scl"):
            item["assets"][key] = {
                "href": f"s3://bucket/tiles/{number}/{key}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "proj:shape": [10980, 10980],
                "proj:transform": [10, 0, 600000, 0, -10, 5600040],
                "raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": 0}],
            }
        yield item


def batches(count: int) -> Iterator[list[dict[str, Any]]]:
    """Items in lists of a thousand."""
    batch = []
    for item in items(count):
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def fill(url: str, count: int) -> None:
    """Items into an SQLite catalogue, a thousand in a transaction."""
    spent = used = 0.0
    with open_catalog(url) as catalog:
        catalog.upsert_collections([make_collection(COLLECTION)])
        for batch in batches(count):
            start, before = time.perf_counter(), time.process_time()
            catalog.upsert_items(batch)
            spent += time.perf_counter() - start
            used += time.process_time() - before
    say(
        f"ingest, SQLite: {count / spent:.0f} items/s, {count / used:.0f} a second of processor time"
    )


def load(folder: Path, server: str, count: int) -> None:
    """The same items into pgstac by its own loader, and a share of them by ours."""
    import psycopg
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench")
    file = folder / "items.ndjson"
    with file.open("w") as lines:
        lines.writelines(json.dumps(item) + "\n" for item in items(count))
    with open_catalog(f"{server}/bench") as catalog:
        catalog.upsert_collections([make_collection(COLLECTION)])
        few = next(batches(min(count, BATCH)))
        start = time.perf_counter()
        catalog.upsert_items(few)
        say(
            f"ingest, pgstac by this program: {len(few) / (time.perf_counter() - start):.0f} items/s"
        )
    with PgstacDB(dsn=f"{server}/bench") as database:
        start = time.perf_counter()
        Loader(database).load_items(str(file), insert_mode=Methods.upsert)
        say(f"ingest, pgstac by pypgstac: {count / (time.perf_counter() - start):.0f} items/s")
    with psycopg.connect(f"{server}/bench", autocommit=True) as connection:
        connection.execute("ANALYZE")


def ask(services: dict[str, str]) -> None:
    """The same questions to all, in turns; times, and that they find the same."""
    kinds: dict[str, Callable[[random.Random], dict[str, Any]]] = {
        "bbox + dates": _place_and_time,
        "  + cloud < 20": lambda rng: {
            **_place_and_time(rng),
            "filter-lang": "cql2-json",
            "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
        },
        "newest 100": lambda _: {"limit": 100},
    }
    session = requests.Session()
    medians: dict[tuple[str, str], float] = {}
    for kind, question in kinds.items():
        rng = random.Random(2)
        spent: dict[str, list[float]] = {name: [] for name in services}
        hits = 0
        for number in range(ROUNDS if kind.startswith("bbox") else ROUNDS // 3):
            body = {"collections": [COLLECTION], "limit": 100, **question(rng)}
            found = {}
            for name, address in services.items():
                start = time.perf_counter()
                answer = session.post(f"{address}/search", json=body, timeout=60)
                if number >= 5:  # the first ones fill caches
                    spent[name].append(1000 * (time.perf_counter() - start))
                answer.raise_for_status()
                found[name] = sorted(item["id"] for item in answer.json()["features"])
            assert len({tuple(each) for each in found.values()}) == 1, body
            hits += len(next(iter(found.values())))
        for name, times in spent.items():
            medians[kind, name] = statistics.median(times)
            p95 = statistics.quantiles(times, n=20)[-1]
            say(f"{kind:15} {name:20} p50 {medians[kind, name]:6.1f} ms  p95 {p95:6.1f} ms")
        say(f"{'':15} {hits / max(1, number + 1):.1f} items a page")
    ratio = medians["bbox + dates", "stac-fastapi-pgstac"] / medians["bbox + dates", "SQLite"]
    say(f"bbox + dates: {ratio:.1f} times as fast as stac-fastapi-pgstac")


def _place_and_time(rng: random.Random) -> dict[str, Any]:
    west, south = rng.uniform(-14, 32), rng.uniform(36, 67)
    start = datetime(2017, 1, 1, tzinfo=UTC) + timedelta(days=rng.randrange(7 * 365 - 60))
    end = start + timedelta(days=60)
    return {
        "bbox": [west, south, west + 3, south + 3],
        "datetime": f"{start:%Y-%m-%dT00:00:00Z}/{end:%Y-%m-%dT00:00:00Z}",
    }


def bulk(address: str) -> None:
    """A thousand items by HTTP."""
    body = {"items": {item["id"]: item for item in items(BATCH)}, "method": "upsert"}
    for item in body["items"].values():
        item["assets"].pop("red")
        item["properties"]["note"] = "changed"
        item["assets"] = {k: v for k, v in item["assets"].items() if v["href"].startswith("s3")}
    start = time.perf_counter()
    answer = requests.post(
        f"{address}/collections/{COLLECTION}/bulk_items",
        json=body,
        headers={"Authorization": "Bearer bench"},
        timeout=60,
    )
    answer.raise_for_status()
    assert answer.json()["success"] == BATCH, answer.json()
    say(f"bulk_items by HTTP: {BATCH / (time.perf_counter() - start):.0f} items/s")


def crowd(address: str, count: int) -> None:
    """Clients that search and write at once for a while: nothing fails, nothing is lost."""
    until = time.monotonic() + CROWD_SECONDS
    token = {"Authorization": "Bearer bench"}

    def client(number: int) -> tuple[list[float], list[float], int]:
        rng, session, made = random.Random(number), requests.Session(), 0
        reads: list[float] = []
        writes: list[float] = []
        while time.monotonic() < until:
            start = time.perf_counter()
            if rng.random() < 0.2:
                item = make_item(f"crowd_{number}_{made}", datetime="2030-01-01T00:00:00Z")
                item["assets"] = {}
                answer = session.post(
                    f"{address}/collections/{COLLECTION}/items",
                    json=item,
                    headers=token,
                    timeout=60,
                )
                made += 1
                writes.append(time.perf_counter() - start)
            else:
                body = {"limit": 100, **_place_and_time(rng)}
                answer = session.post(f"{address}/search", json=body, timeout=60)
                reads.append(time.perf_counter() - start)
            answer.raise_for_status()
        return reads, writes, made

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    made = sum(each[2] for each in found)
    matched = requests.get(f"{address}/search?datetime=2030-01-01T00:00:00Z&limit=1", timeout=60)
    assert matched.json()["numberMatched"] == made, (matched.json()["numberMatched"], made)
    total = requests.get(f"{address}/search?limit=1", timeout=60).json()["numberMatched"]
    assert total == count + made
    for kind, index in (("searches", 0), ("writes", 1)):
        times = [1000 * each for one in found for each in one[index]]
        p99 = statistics.quantiles(times, n=100)[-1]
        say(
            f"{CLIENTS} clients, {CROWD_SECONDS} s: {len(times)} {kind}, none failed, none lost; "
            f"p50 {statistics.median(times):.0f} ms, p99 {p99:.0f} ms"
        )


@contextmanager
def serving(code: str, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[str]:
    """A service in a process of its own."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {**os.environ, "CLEARCUBE_API_TOKEN": "bench", **(environment or {})}
    command = [sys.executable, "-c", code, *arguments, str(port)]
    with subprocess.Popen(command, env=variables) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                try:
                    requests.get(address, timeout=5)
                    break
                except requests.ConnectionError:
                    time.sleep(0.1)
            yield address
        finally:
            process.terminate()


def peer_settings(url: str) -> dict[str, str]:
    """A database as stac-fastapi-pgstac's environment has it."""
    parts = urlsplit(url)
    return {
        "PGHOST": str(parts.hostname), "PGPORT": str(parts.port), "PGUSER": str(parts.username),
        "PGPASSWORD": "x", "PGDATABASE": parts.path.lstrip("/"),
    }  # fmt: skip


@contextmanager
def postgres() -> Iterator[str]:
    """A server of our own, as the tests have it."""
    spec = importlib.util.spec_from_file_location(
        "postgres_server", Path(__file__).parents[1] / "postgres_server.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.running() as url:
        yield url


def say(line: str) -> None:
    """One line on stdout."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

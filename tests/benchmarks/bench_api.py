"""What the catalogue takes over HTTP and into its stores, beside stac-fastapi-pgstac; run as a script.

``python tests/benchmarks/bench_api.py [--parts ingest,search,crowd,scale] [--items N] [--check]``.
Items are those of an archive of full tiles (``archives``): scenes of twelve kilobytes and sixteen
assets, their masks, their months, in three collections, of many tiles and dates.

*ingest*: into SQLite, a thousand a transaction; a share of them into pgstac by this program, and all
by pypgstac where the peer is asked too; a thousand by ``bulk_items`` over HTTP.
*search*: one client, one request at a time, a new place (0.3 by 0.2 degrees) and 60 days in each;
the peer is asked the same, in turns, and must find the same.
*crowd*: 16 clients search and write at once for a minute.
*scale*: the same questions to ten times the items, in turns with these.

Processor seconds are of this process, or of a server's where it is named. Wall times of a machine
with other work on it are longer: its load is told. Needs PostgreSQL with PostGIS, and
stac-fastapi-pgstac, but for ``scale`` and ``--no-peer``.
"""

import argparse
import importlib.util
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests
from archives import COLLECTIONS, FIRST, Archive
from bench_engine import Row, say, told

from catalog.backends import open_catalog
from catalog.testing import make_item

PARTS = ("ingest", "search", "crowd", "scale")
ROUNDS = 150
BATCH = 1000
CLIENTS = 16
SCENES = COLLECTIONS[0]
TOKEN = {"Authorization": "Bearer bench"}

SEARCH_MS = 8.0
"""Median of a search by bbox and dates."""
TIMES_AS_FAST = 3.0
"""As stac-fastapi-pgstac."""
INGEST = 5000.0
"""Items a second."""
SCALE = 2.0
"""Most times as long as among a tenth of the items."""

PEER = (
    "-c",
    "import sys, uvicorn; from stac_fastapi.pgstac.app import create_app; "
    "uvicorn.run(create_app(), port=int(sys.argv[2]), log_level='error')",
    "--port",
)
"""What Python is to run; the port follows."""
Question = Callable[[random.Random], dict[str, Any]]
SERVERS: dict[str, psutil.Process] = {}
"""Address -> process that answers at it; of PostgreSQL's own it knows nothing."""


def main() -> int:
    """Measure and print."""
    options = parsed()
    say(f"{os.cpu_count()} cores, {load()}; {options.items} items")
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="bench-api-", dir=options.folder)
            )
        )
        archive = Archive(folder / "few", options.items)
        say(f"{len(archive.tiles)} tiles, {archive.years:.1f} years of each")
        rows = list(measured(archive, folder, options, stack))
    say(load())
    return told(rows, options.check)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="of what is above; default all")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=10, help="of scale: how many times the items")
    parser.add_argument("--seconds", type=float, default=60, help="of crowd")
    parser.add_argument("--no-peer", action="store_true", help="without PostgreSQL")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's")
    parser.add_argument("--check", action="store_true", help="status 1 where a target is missed")
    found = parser.parse_args()
    found.parts = found.parts.split(",")
    return found


def measured(
    archive: Archive, folder: Path, options: argparse.Namespace, stack: ExitStack
) -> Iterator[Row]:
    """Each part that is asked for."""
    sqlite = f"sqlite:///{folder}/catalog.db"
    yield from fill(sqlite, archive, counts="ingest" in options.parts)
    ours = stack.enter_context(ours_at(sqlite))
    if not options.no_peer and {"ingest", "search"} & set(options.parts):
        server = stack.enter_context(postgres())
        load_pgstac(folder, server, archive, everything="search" in options.parts)
    if "search" in options.parts:
        services = {"SQLite": ours}
        if not options.no_peer:
            url = f"{server}/bench"
            services["pgstac, this API"] = stack.enter_context(ours_at(url))
            services["stac-fastapi-pgstac"] = stack.enter_context(serving(PEER, peer_settings(url)))
        yield from search(archive, services)
    if "scale" in options.parts:
        yield from scale(archive, ours, folder, options, stack)
    if "ingest" in options.parts:
        bulk(archive, ours)
    if "crowd" in options.parts:
        yield from crowd(archive, ours, options.seconds)


# --- ingest ---------------------------------------------------------------------------------------


def fill(url: str, archive: Archive, *, counts: bool = True) -> Iterator[Row]:
    """Items into an SQLite catalogue, a thousand in a transaction."""
    spent = used = 0.0
    with open_catalog(url) as catalog:
        catalog.upsert_collections(archive.collections)
        for batch in archive.batches(BATCH):
            start, before = time.perf_counter(), time.process_time()
            catalog.upsert_items(batch)
            spent += time.perf_counter() - start
            used += time.process_time() - before
    per = archive.count / used
    say(
        f"ingest, SQLite, {archive.count}: {archive.count / spent:.0f} items/s, {per:.0f} a second "
        f"of processor time; {Path(urlsplit(url).path).stat().st_size / 1e9:.2f} GB; {load()}"
    )
    if counts:
        yield Row("ingest, SQLite: items a processor second", per, INGEST, is_most=False)


def load_pgstac(folder: Path, server: str, archive: Archive, *, everything: bool) -> None:
    """A share of the items into pgstac by this program, and all of them by its own loader."""
    import psycopg
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench")
    with open_catalog(f"{server}/bench") as catalog:
        catalog.upsert_collections(archive.collections)
        spent = used = 0.0
        count = 0
        for batch in archive.batches(BATCH):
            start, before = time.perf_counter(), time.process_time()
            catalog.upsert_items(batch)
            spent += time.perf_counter() - start
            used += time.process_time() - before
            count += len(batch)
            if count >= 5 * BATCH:
                break
    say(
        f"ingest, pgstac by this program: {count / spent:.0f} items/s, {count / used:.0f} a second "
        f"of this process; {load()}"
    )
    if not everything:
        return
    file = folder / "items.ndjson"
    with file.open("w") as lines:
        lines.writelines(json.dumps(item) + "\n" for item in archive.items())
    with PgstacDB(dsn=f"{server}/bench") as database:
        start, before = time.perf_counter(), time.process_time()
        Loader(database).load_items(str(file), insert_mode=Methods.upsert)
        spent, used = time.perf_counter() - start, time.process_time() - before
    file.unlink()
    say(
        f"ingest, pgstac by pypgstac: {archive.count / spent:.0f} items/s, "
        f"{archive.count / used:.0f} a second of this process; {load()}"
    )
    with psycopg.connect(f"{server}/bench", autocommit=True) as connection:
        connection.execute("ANALYZE")


def bulk(archive: Archive, address: str) -> None:
    """Scenes by HTTP, as many as a body takes; their files are no server's."""
    items: dict[str, Any] = {}
    for item in archive.items():
        if item["collection"] != SCENES:
            continue
        for asset in item["assets"].values():
            asset["href"] = f"s3://bucket{asset['href']}"
        items[f"bulk_{item['id']}"] = {**item, "id": f"bulk_{item['id']}"}
        if len(items) == BATCH:
            break
    body = json.dumps({"items": items, "method": "upsert"})
    start = time.perf_counter()
    answer = requests.post(
        f"{address}/collections/{SCENES}/bulk_items",
        data=body,
        headers={**TOKEN, "Content-Type": "application/json"},
        timeout=60,
    )
    answer.raise_for_status()
    if answer.json()["success"] != len(items):
        raise RuntimeError(answer.text)
    rate = len(items) / (time.perf_counter() - start)
    say(f"bulk_items by HTTP, {len(body) / 1e6:.0f} MB: {rate:.0f} items/s; {load()}")
    for name in items:
        requests.delete(
            f"{address}/collections/{SCENES}/items/{name}", headers=TOKEN, timeout=60
        ).raise_for_status()


# --- searches -------------------------------------------------------------------------------------


def search(archive: Archive, services: Mapping[str, str]) -> Iterator[Row]:
    """Questions of some kinds to all services."""
    place = place_and_time(archive)
    kinds: dict[str, Question] = {
        "bbox + dates": place,
        "  + cloud < 20": lambda rng: {
            **place(rng),
            "filter-lang": "cql2-json",
            "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
        },
        "newest 10": lambda _: {"limit": 10},
    }
    for kind, question in kinds.items():
        whole = kind == "bbox + dates"
        # Of the newest, others choose otherwise among those of one time.
        same = kind != "newest 10"
        medians = ask(kind, question, services, ROUNDS if whole else ROUNDS // 5, same=same)
        if whole:
            found = medians
    yield Row("bbox + dates, SQLite: ms, median", found["SQLite"], SEARCH_MS)
    if "stac-fastapi-pgstac" in found:
        ratio = found["stac-fastapi-pgstac"] / found["SQLite"]
        yield Row("bbox + dates: times as fast as the peer", ratio, TIMES_AS_FAST, is_most=False)


def ask(
    kind: str, question: Question, services: Mapping[str, str], rounds: int, *, same: bool = True
) -> dict[str, float]:
    """The same questions to all, in turns -> medians in ms; what they find must be the same."""
    rng = random.Random(2)
    session = requests.Session()
    spent: dict[str, list[float]] = {name: [] for name in services}
    hits = dict.fromkeys(services, 0)
    before = {name: cpu(address) for name, address in services.items()}
    for number in range(rounds + 5):
        body = {"collections": [SCENES], "limit": 100, **question(rng)}
        found = {}
        for name, address in services.items():
            start = time.perf_counter()
            answer = session.post(f"{address}/search", json=body, timeout=60)
            if number >= 5:  # the first ones fill caches
                spent[name].append(1000 * (time.perf_counter() - start))
            answer.raise_for_status()
            found[name] = sorted(item["id"] for item in answer.json()["features"])
            hits[name] += len(found[name])
        if same and len({tuple(each) for each in found.values()}) != 1:
            raise RuntimeError(f"they find different items: {body}")
    for name, times in spent.items():
        p95 = statistics.quantiles(times, n=20)[-1]
        used = 1000 * (cpu(services[name]) - before[name]) / (rounds + 5)
        say(
            f"{kind:15} {name:20} p50 {statistics.median(times):6.1f} ms  p95 {p95:6.1f} ms  "
            f"server's processor {used:5.1f} ms  {hits[name] / (rounds + 5):.1f} items; {load()}"
        )
    return {name: statistics.median(times) for name, times in spent.items()}


def place_and_time(archive: Archive) -> Question:
    """A field's surroundings and sixty days, somewhere in the archive."""
    places = [archive.place(tile)["bbox"] for tile in archive.tiles]

    def question(rng: random.Random) -> dict[str, Any]:
        west, south, east, north = rng.choice(places)
        west, south = rng.uniform(west, east), rng.uniform(south, north)
        start = FIRST + timedelta(days=rng.uniform(0, max(1, archive.years * 365 - 60)))
        end = start + timedelta(days=60)
        return {
            "bbox": [west, south, west + 0.3, south + 0.2],
            "datetime": f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}",
        }

    return question


def scale(
    archive: Archive, ours: str, folder: Path, options: argparse.Namespace, stack: ExitStack
) -> Iterator[Row]:
    """The same questions among many more items."""
    many = Archive(folder / "many", options.times * options.items)
    say(f"{many.count} items: {len(many.tiles)} tiles, {many.years:.1f} years of each")
    url = f"sqlite:///{folder}/many.db"
    yield from fill(url, many)
    services = {f"{archive.count}": ours, f"{many.count}": stack.enter_context(ours_at(url))}
    place = place_and_time(archive)  # its places and years are among those of the other
    kinds: dict[str, Question] = {
        "bbox + dates": place,
        "  + cloud < 20": lambda rng: {**place(rng), "filter": "eo:cloud_cover < 20"},
        "newest 10": lambda _: {"limit": 10},
        "dates alone": lambda rng: {"datetime": place(rng)["datetime"], "limit": 10},
        "a tile": lambda _: {"filter": f"grid:code = 'MGRS-{archive.tiles[0]}'", "limit": 10},
        "least cloudy": lambda _: {
            "sortby": [{"field": "eo:cloud_cover", "direction": "asc"}], "limit": 10,
        },
    }  # fmt: skip
    for kind, question in kinds.items():
        rounds = ROUNDS if kind.startswith("bbox") else ROUNDS // 5
        few, more = ask(kind, question, services, rounds, same=False).values()
        counts = kind == "bbox + dates"
        yield Row(
            f"{kind.strip()}: times as long as among a tenth", more / few, SCALE, counts=counts
        )


# --- many at once ---------------------------------------------------------------------------------


def crowd(archive: Archive, address: str, seconds: float) -> Iterator[Row]:
    """Clients that search and write at once for a while: nothing fails, nothing is lost."""
    question = place_and_time(archive)
    until = time.monotonic() + seconds
    before = matched(address, "limit=1")

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
                    f"{address}/collections/{SCENES}/items", json=item, headers=TOKEN, timeout=60
                )
                made += 1
                writes.append(time.perf_counter() - start)
            else:
                body = {"limit": 100, **question(rng)}
                answer = session.post(f"{address}/search", json=body, timeout=60)
                reads.append(time.perf_counter() - start)
            answer.raise_for_status()
        return reads, writes, made

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    made = sum(each[2] for each in found)
    lost = made - matched(address, "datetime=2030-01-01T00:00:00Z&limit=1")
    lost = max(lost, before + made - matched(address, "limit=1"))
    for kind, index in (("searches", 0), ("writes", 1)):
        times = [1000 * each for one in found for each in one[index]]
        p99 = statistics.quantiles(times, n=100)[-1]
        say(
            f"{CLIENTS} clients, {seconds:.0f} s: {len(times)} {kind}, none failed; "
            f"p50 {statistics.median(times):.0f} ms, p99 {p99:.0f} ms; {load()}"
        )
    yield Row(f"{CLIENTS} clients: items lost", lost, 0)


def matched(address: str, question: str) -> int:
    """How many items a search finds."""
    answer = requests.get(f"{address}/search?{question}", timeout=60)
    answer.raise_for_status()
    return int(answer.json()["numberMatched"])


# --- servers --------------------------------------------------------------------------------------


def load() -> str:
    """What else this machine does."""
    return f"load {os.getloadavg()[0]:.1f}"


def cpu(address: str) -> float:
    """Processor seconds that a server has used."""
    used = SERVERS[address].cpu_times()
    return float(used.user + used.system)


@contextmanager
def ours_at(url: str) -> Iterator[str]:
    """``clearcube serve`` of a catalogue."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            ("-m", "jobs.cli", "--workspace", folder, "serve", "--port"), {"CLEARCUBE_CATALOG": url}
        ) as address,
    ):
        yield address


@contextmanager
def serving(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """A service in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {**os.environ, "CLEARCUBE_API_TOKEN": "bench", **environment}
    with subprocess.Popen([sys.executable, *words, str(port)], env=variables) as process:
        address = f"http://127.0.0.1:{port}"
        SERVERS[address] = psutil.Process(process.pid)
        try:
            for _ in range(600):
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
    if spec is None or spec.loader is None:
        raise RuntimeError("the tests' server is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.running() as url:
        yield url


if __name__ == "__main__":
    sys.exit(main())

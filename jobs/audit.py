"""What is wrong, or might be, with the numbers of a tile: metadata, deliveries, pixels of its cubes.

Nothing is changed. Statistics of pixels are those of `cube.radiometric_audit`; here they meet what
the catalogue says of the deliveries that a date was made of.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from catalog.backends.base import Document
from catalog.deliveries import SUPERSEDED_BY
from catalog.search import Query, normalise_tile, tile_of
from cube.grid import solar_offset
from cube.radiometric_audit import STEP, Judgement, Verdict, equal_dates, judge_dates
from cube.samples import is_empty, read_sample
from cube.store import Cube, DateEntry, open_store
from jobs.acquisitions import levels
from jobs.audit_items import Finding, audit_items, found_of
from jobs.errors import RequestError
from jobs.stores import cube_store

if TYPE_CHECKING:
    from jobs.workspace import Workspace

MASKS = {"l2a": "scl", "maja": "clm", "l1c": "classi"}
"""Level -> the encoded mask of its cube that says which pixels are clear."""

CLIPPED = 1e-3
"""Share of the pixels of a band beyond what int16 holds (3.28) from which on it is a warning: glint
and fires come to less than a thousandth of a tile, a wrong scale to most of it."""


@dataclass(frozen=True, slots=True)
class TileAudit:
    """What was found of one tile and level."""

    tile: str
    level: str
    items: int
    """Deliveries catalogued, superseded ones among them."""
    cube: str | None
    """The store that was read; None where there is none and only metadata were looked at."""
    dates: int = 0
    judged: int = 0
    """Dates whose pixels could be compared with others."""
    findings: list[Finding] = field(default_factory=list)

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        counts = {f"{name}s": self.count(name) for name in ("error", "warning", "note")}
        return {**asdict(self), **counts}

    def summary(self) -> str:
        """One line."""
        pixels = (
            f"{self.judged} of {self.dates} dates judged by their pixels"
            if self.cube
            else "no cube, only metadata looked at"
        )
        counts = ", ".join(f"{self.count(name)} {name}s" for name in ("error", "warning", "note"))
        return f"{self.tile} {self.level}: {self.items} deliveries, {pixels}: {counts}"


def audit(workspace: "Workspace", tiles: Iterable[str] = ()) -> list[TileAudit]:
    """Tiles, by default all that are catalogued -> what was found, a tile and level at a time.

    ``RequestError`` where nothing of a tile is catalogued.
    """
    named = list(dict.fromkeys(normalise_tile(tile) for tile in tiles))
    found = []
    for tile in named or _catalogued(workspace):
        held = levels(workspace, tile)
        if not held:
            raise RequestError(f"no scene of tile {tile} is catalogued; ingest some first")
        found += [audit_level(workspace, tile, level) for level in held]
    if not found:
        raise RequestError("no scene is catalogued; ingest some first")
    return found


def audit_level(workspace: "Workspace", tile: str, level: str) -> TileAudit:
    """Tile and level -> what was found of its deliveries and its cube."""
    query = Query(tiles=(tile,), level=level, limit=1000)
    items = [i for i in workspace.documents(query) if "clearcube:job" not in i["properties"]]
    store = cube_store(workspace, tile, level)
    findings: list[Finding] = []
    right: set[str] = set()
    dates = judged = 0
    if store is not None:
        about = _Dates(open_store(store), tile, {item["id"]: item for item in items})
        findings += _radiometry(about)
        right = {i["id"] for p in about.right for i in about.entries[p].items}
        findings += [*_same_days(about), *_equal(about), *_facts(about)]
        dates, judged = len(about.entries), len(about.judged)
    findings = [*audit_items(items, tile, pixels_right=right), *findings]
    order = ("error", "warning", "note")
    findings.sort(key=lambda f: (order.index(f.severity), f.finding, f.id))
    path = None if store is None else str(store)
    return TileAudit(tile, level, len(items), path, dates, judged, findings)


def _catalogued(workspace: "Workspace") -> list[str]:
    return sorted(
        {tile for item in workspace.documents(Query(limit=1000)) if (tile := tile_of(item))}
    )


# --- the cube -------------------------------------------------------------------------------------


class _Dates:
    """A cube's dates in order of time, their pixels and what was judged of them."""

    def __init__(self, cube: Cube, tile: str, items: dict[str, Document]) -> None:
        self.cube, self.tile, self.items = cube, tile, items
        self.sample = read_sample(cube, MASKS[cube.spec.level])
        self.entries: Sequence[DateEntry] = self.sample.entries
        self.judgements: list[Judgement] = judge_dates(self.sample)
        self.judged = [j.position for j in self.judgements if j.verdict != Verdict.NOT_JUDGED]
        self.right = {j.position for j in self.judgements if j.verdict == Verdict.RIGHT}

    def finding(
        self,
        position: int,
        finding: str,
        severity: Literal["error", "warning", "note"],
        detail: str,
        **numbers: Any,
    ) -> Finding:
        """A finding of a date, under its first delivery."""
        entry = self.entries[position]
        first = entry.items[0]
        numbers = {"date": self.day(position).isoformat(), "slot": entry.slot, **numbers}
        if len(entry.items) > 1:
            numbers["items"] = [item["id"] for item in entry.items]
        return Finding(
            first["id"], first["collection"], self.tile, finding, severity, detail, numbers
        )

    def day(self, position: int) -> date:
        """Solar day of a date."""
        seen = datetime.fromtimestamp(self.entries[position].time / 1000, UTC)
        return (seen + solar_offset(self.tile)).date()


_VERDICTS: dict[Verdict, tuple[str, Literal["error", "warning", "note"], str]] = {
    Verdict.MISSING: ("offset-missing", "error", "offset not applied: "),
    Verdict.TWICE: ("offset-twice", "error", "offset applied twice: "),
    Verdict.SCALE: ("scale", "error", "wrong scale: "),
    Verdict.UNDECIDED: ("offset-undecided", "warning", ""),
    Verdict.NOT_JUDGED: ("not-judged", "note", "offset and scale not judged: "),
    Verdict.RIGHT: ("brighter", "note", ""),
}


def _radiometry(about: _Dates) -> Iterator[Finding]:
    for judgement in about.judgements:
        if judgement.verdict == Verdict.RIGHT and not judgement.why:
            continue
        name, severity, words = _VERDICTS[judgement.verdict]
        detail = words + judgement.why
        if judgement.verdict in (Verdict.MISSING, Verdict.TWICE):
            detail += "; " + _said(about, judgement.position)
        numbers = {
            key: value
            for key, value in asdict(judgement).items()
            if key not in ("position", "verdict", "why") and value not in (None, {})
        }
        if judgement.verdict in (Verdict.MISSING, Verdict.TWICE):
            numbers["step"] = STEP
        yield about.finding(judgement.position, name, severity, detail, **numbers)


def _said(about: _Dates, position: int) -> str:
    """What the deliveries of a date say of their offset."""
    said = []
    for source in about.entries[position].items:
        item = about.items.get(source["id"])
        if item is None:
            said.append(f"{source['id']} is no longer catalogued")
            continue
        facts = found_of(item)
        offsets = " ".join(f"{offset:g}" for offset in sorted(facts.offsets)) or "none"
        said.append(f"baseline {facts.baseline or 'unknown'}, its bands say offset {offsets}")
    return ", ".join(dict.fromkeys(said))


def _same_days(about: _Dates) -> Iterator[Finding]:
    days: dict[date, list[int]] = defaultdict(list)
    for position in range(len(about.entries)):
        days[about.day(position)].append(position)
    for day, positions in days.items():
        for position in positions[1:]:
            slot = about.entries[positions[0]].slot
            detail = (
                f"the cube holds {day} twice, in slots {slot} and {about.entries[position].slot}"
            )
            yield about.finding(position, "duplicate-day", "error", detail, other_slot=slot)


def _equal(about: _Dates) -> Iterator[Finding]:
    """The same pixels under two dates: by checksums where the cube keeps them, else in the sample."""
    pairs = set(equal_dates(about.sample))
    empty = {p for p in range(len(about.entries)) if not about.sample.observed[p].any()}
    known: dict[tuple[tuple[str, str], ...], int] = {}
    for position, entry in enumerate(about.entries):
        checksums = _checksums(about.cube, entry)
        if not checksums or position in empty:
            continue
        if checksums in known:
            pairs.add((known[checksums], position))
        known.setdefault(checksums, position)
    for first, second in sorted(pairs):
        exact = bool(_checksums(about.cube, about.entries[first])) and _checksums(
            about.cube, about.entries[first]
        ) == _checksums(about.cube, about.entries[second])
        where = "" if exact else " in the sample"
        detail = f"its pixels are those of {about.day(first)}{where}"
        other = about.entries[first].items[0]["id"]
        yield about.finding(second, "duplicate-pixels", "error", detail, other=other)


def _checksums(cube: Cube, entry: DateEntry) -> tuple[tuple[str, str], ...]:
    """Checksums of a date's reflectances, where the cube keeps them."""
    kept: dict[str, str] = getattr(entry, "checksums", None) or {}
    names = {v.name for v in cube.spec.variables if v.kind == "reflectance"}
    return tuple(sorted((k, v) for k, v in kept.items() if k.rpartition("/")[2] in names))


def _facts(about: _Dates) -> Iterator[Finding]:
    height, width = about.cube.spec.shape(min(about.cube.spec.groups, key=_resolution(about.cube)))
    for position, entry in enumerate(about.entries):
        if entry.clipped:
            share = entry.clipped / (height * width)
            severity: Literal["warning", "note"] = "warning" if share > CLIPPED else "note"
            detail = (
                f"{entry.clipped} pixels of its bands are brighter than 3.2767 and were clipped"
            )
            yield about.finding(position, "clipped", severity, detail, clipped=entry.clipped)
        if position in about.sample.unread:
            yield about.finding(position, "unread", "error", about.sample.unread[position])
        elif not about.sample.observed[position].any() and is_empty(about.cube, entry):
            detail = "it has no data anywhere in the cube"
            yield about.finding(position, "no-data", "warning", detail)
        yield from _sources(about, position)


def _resolution(cube: Cube) -> Any:
    return lambda name: cube.spec.groups[name]


def _sources(about: _Dates, position: int) -> Iterator[Finding]:
    """Deliveries of a date that the catalogue does not hold, or holds in another version."""
    for source in about.entries[position].items:
        item = about.items.get(source["id"])
        if item is None:
            detail, name = "its delivery is no longer catalogued", "not-catalogued"
        elif item["properties"].get(SUPERSEDED_BY):
            winner = item["properties"][SUPERSEDED_BY]
            detail, name = f"the cube holds it, though {winner} supersedes it", "outdated"
        elif item["properties"].get("clearcube:rejected"):
            detail, name = "the cube holds it, though it was rejected", "outdated"
        elif str(item["properties"].get("clearcube:version", "")) != source["version"]:
            detail, name = "the cube holds another version of it than is catalogued", "outdated"
        else:
            continue
        detail += "; run cube again"
        numbers = {"date": about.day(position).isoformat(), "slot": about.entries[position].slot}
        yield Finding(
            source["id"], source["collection"], about.tile, name, "warning", detail, numbers
        )

"""What was made before, held against what it would be made of now; what is stale made anew."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.deliveries import REJECTED
from catalog.errors import CatalogError
from catalog.search import Interval, Query, parse_datetime, tile_of
from catalog.spans import merged, span_text
from cube.errors import CubeError
from jobs.acquisitions import choose_level
from jobs.decode_masks import mask_level
from jobs.errors import JobError
from jobs.job import Failure, Job, Outcome, Plan, State, Target
from jobs.mask_store import JOB as MASKS
from jobs.registry import find_job, job_names
from jobs.requests import parse_request
from jobs.runner.progress import Progress
from jobs.runner.publish import published
from jobs.states import UNUSED, WITHOUT, why_out
from jobs.stores import COLLECTION as CUBES
from jobs.stores import asked_spans

if TYPE_CHECKING:
    from jobs.runner.run import Session
    from jobs.workspace import Workspace


@dataclass(slots=True)
class _Group:
    """Items that one request makes, but for their times."""

    job: str
    request: dict[str, Any]
    """Without ``datetime``."""
    items: list[Document] = field(default_factory=list)

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the items."""
        return frozenset(item["id"] for item in self.items)


def status(workspace: "Workspace", tile: str | None = None) -> list[Target]:
    """Every derived item (of a tile) with its state and why; and those that wait to be made.

    Beside what is there it names masks of dates that the cube was asked for, where other dates of
    it have such masks.
    """
    return _judged(workspace, _groups(workspace, tile))


def states_of(workspace: "Workspace", items: Iterable[Document]) -> list[Target]:
    """Some derived items with their states; others of their groups may be among them."""
    return _judged(workspace, _grouped(items))


def _judged(workspace: "Workspace", groups: Iterable[_Group]) -> list[Target]:
    found: dict[tuple[str, str], Target] = {}
    for group in groups:
        for target, _ in _survey(workspace, group):
            key = (target.collection, target.item_id)
            found[key] = _together(found[key], target) if key in found else target
    return [found[key] for key in sorted(found)]


def run_stale(
    workspace: "Workspace", tile: str | None = None, progress: Progress | None = None
) -> Outcome:
    """Make anew what is stale or missing, from cubes to what is made of them, and nothing else.

    What has lost all its inputs is taken out of the catalogue.
    """
    from jobs.runner.run import Session

    outcome = Outcome()
    with Session(workspace, progress or Progress(quiet=True)) as session:
        for job in job_names():
            # Asked anew for every job: what was made just now may have left the rest as it was.
            for group in list(_groups(workspace, tile, job)):
                for request in _due(workspace, group, outcome):
                    outcome.add(_tried(session, job, request))
    outcome.failures = list({str(failure): failure for failure in outcome.failures}.values())
    outcome.notes += _withdraw(workspace, tile)
    return outcome


def _tried(session: "Session", job: str, request: Mapping[str, Any]) -> Outcome:
    """A request carried out; one that cannot be leaves the others be."""
    try:
        return session.run(job, request)
    except (CubeError, CatalogError, JobError) as error:
        return Outcome(failures=[Failure(f"{job} {request['tile']}", str(error))])


def _together(first: Target, second: Target) -> Target:
    """What two spans of time say of one cube."""
    worse, other = (first, second) if first.is_due else (second, first)
    because = worse.because + (other.because if other.is_due else ())
    return replace(worse, because=because, parts=first.parts + second.parts)


# --- groups ---------------------------------------------------------------------------------------


def _groups(
    workspace: "Workspace", tile: str | None = None, job: str | None = None
) -> Iterator[_Group]:
    """Derived items by the request that makes them, in the order in which jobs build on each other."""
    query = Query(tiles=() if tile is None else (tile,), limit=1000)
    return _grouped(workspace.documents(query), job)


def _grouped(items: Iterable[Document], job: str | None = None) -> Iterator[_Group]:
    groups: dict[str, _Group] = {}
    for item in items:
        properties = item["properties"]
        name = properties.get("clearcube:job")
        if name is None or job not in (None, name):
            continue
        request = {**properties.get("clearcube:request", {})}
        request.pop("datetime", None)
        request.setdefault("tile", tile_of(item))
        key = json.dumps([name, request], sort_keys=True)
        groups.setdefault(key, _Group(name, request)).items.append(item)
    order = {name: index for index, name in enumerate(job_names())}
    yield from sorted(groups.values(), key=lambda group: order.get(group.job, len(order)))


def _survey(workspace: "Workspace", group: _Group) -> list[tuple[Target, Interval]]:
    """Targets of a group, each with the span of time in which its request finds it."""
    if group.job not in job_names():
        why = f"job {group.job} is not installed here"
        return [
            (Target(item["collection"], item["id"], State.CURRENT, (why,)), (None, None))
            for item in group.items
        ]
    job = find_job(group.job)
    found: list[tuple[Target, Interval]] = []
    refused = ""
    spans = _spans(workspace, job, group)
    for span in spans:
        try:
            targets = _targets(workspace, job, _request(job, group, span, ()))
        except (CubeError, JobError) as error:
            targets, refused = (), str(error)
        # Months are judged that were made; of cubes and masks also dates that wait to be added.
        is_open = job.product is None
        found += [(t, span) for t in targets if is_open or t.item_id in group.ids]
    known = {target.item_id for target, _ in found}
    lost = [item for item in group.items if item["id"] not in known]
    first = spans[0] if spans else (None, None)
    return found + [(_unplanned(workspace, item, refused), first) for item in lost]


def _spans(workspace: "Workspace", job: Job, group: _Group) -> list[Interval]:
    """Spans of time in which a group's items, and those that belong to them, are looked for."""
    if job.name == "cube":
        return merged(span for item in group.items for span in asked_spans(item))
    times = [
        parse_datetime(item["properties"]["clearcube:request"]["datetime"])
        for item in group.items
        if "datetime" in item["properties"].get("clearcube:request", {})
    ]
    if job.product is not None:
        starts = [start for start, _ in times if start is not None]
        ends = [end for _, end in times if end is not None]
        return [(min(starts), max(ends))] if starts and ends else []
    found: list[Interval] = []
    for span in merged([*_asked(workspace, group), *times]):
        # Dates beside those that have such a mask wait for one too; those beyond were not asked for.
        own = [each for each in times if _meets(span, each)]
        starts = [start for start, _ in own if start is not None]
        ends = [end for _, end in own if end is not None]
        found += [(min(starts), max(ends))] if starts and ends else []
    return found


def _asked(workspace: "Workspace", group: _Group) -> list[Interval]:
    """Spans that the cube of a group's mask was asked to hold."""
    tile = str(group.request["tile"])
    level = group.request.get("level")
    if group.job == MASKS and level is None:
        level = choose_level(workspace, tile, None)
    elif level is None:
        level = mask_level(str(group.request.get("encoding", "scl")))
    query = Query(collections=(CUBES,), tiles=(tile,), limit=100)
    cubes = workspace.documents(query)
    held = [cube for cube in cubes if cube["properties"].get("clearcube:cube_level") == level]
    return merged(span for cube in held for span in asked_spans(cube))


def _meets(span: Interval, other: Interval) -> bool:
    return (span[0] is None or other[1] is None or span[0] < other[1]) and (
        span[1] is None or other[0] is None or other[0] < span[1]
    )


def _request(job: Job, group: _Group, span: Interval, only: Iterable[str]) -> dict[str, Any]:
    request = {**group.request, "datetime": span_text(span), "only": sorted(only)}
    if job.product is not None and not request["only"]:
        request["only"] = sorted(group.ids)
    return {name: value for name, value in request.items() if value not in (None, [])}


def _targets(workspace: "Workspace", job: Job, request: Mapping[str, Any]) -> Sequence[Target]:
    """Targets of a request; ``RequestError`` where it cannot be planned at all."""
    params = parse_request(job, request)
    if job.survey is not None:
        return job.survey(workspace, params)
    planned = job.plan(workspace, params)
    plans = [planned] if isinstance(planned, Plan) else planned
    return [target for plan in plans for target in plan.targets]


def _unplanned(workspace: "Workspace", item: Document, refused: str) -> Target:
    """Item that its own request does not come to -> orphaned, with what became of its inputs.

    Where the request was refused and scenes of it are still there, that is no reason to give the
    item up: it is stale, because of the refusal.
    """
    inputs = sorted(item["properties"].get("clearcube:inputs", {}))
    gone = {name: why_out(workspace, name) for name in inputs}
    if refused and any(why == UNUSED for name, why in gone.items() if _is_raw(workspace, name)):
        return Target(item["collection"], item["id"], State.STALE, (refused,))
    known = tuple(f"{name} {why}" for name, why in gone.items() if why != UNUSED)
    because = known or ("its inputs are no longer used",)
    return Target(item["collection"], item["id"], State.ORPHANED, because)


def _is_raw(workspace: "Workspace", name: str) -> bool:
    return any("clearcube:job" not in item["properties"] for item in workspace.catalog.find(name))


# --- what is due ----------------------------------------------------------------------------------


def _due(workspace: "Workspace", group: _Group, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Requests that make what is stale or missing of a group, one a span of time."""
    if group.job not in job_names():
        return
    by_span: dict[Interval, list[Target]] = {}
    items = {item["id"]: item for item in group.items}
    for target, span in _survey(workspace, group):
        item = items.get(target.item_id)
        if target.is_due or (item is not None and _is_misstated(workspace, target, item)):
            by_span.setdefault(span, []).append(target)
        elif target.state is not State.ORPHANED:
            outcome.current.append(target.item_id)
    for span, targets in by_span.items():
        only = [name for target in targets for name in target.parts or (target.item_id,)]
        yield _request(find_job(group.job), group, span, only)


def _is_misstated(workspace: "Workspace", target: Target, item: Document) -> bool:
    """Whether the pixels of an item are true, but not what it says of itself.

    It may be final by now, or name a scene as left out that no longer counts at all.
    """
    if target.state not in (State.CURRENT, State.PROVISIONAL):
        return False
    says_provisional = item["properties"].get("clearcube:status") == "provisional"
    if says_provisional != (target.state is State.PROVISIONAL):
        return True
    return any(why_out(workspace, n) != UNUSED for n in item["properties"].get(WITHOUT, {}))


def _withdraw(workspace: "Workspace", tile: str | None) -> list[str]:
    """Take items whose inputs are all gone out of the catalogue; a sentence each."""
    gone = [
        target
        for group in _groups(workspace, tile)
        for target, _ in _survey(workspace, group)
        # What a user rejected stays: the mark is a decision that would be lost.
        if target.state is State.ORPHANED and _may_go(workspace, target)
    ]
    workspace.catalog.delete_items([(t.collection, t.item_id) for t in gone])
    return [f"{t.item_id} was withdrawn: {'; '.join(t.because)}" for t in gone]


def _may_go(workspace: "Workspace", target: Target) -> bool:
    item = published(workspace, target.collection, target.item_id)
    # Another run may have withdrawn it just now.
    return item is not None and REJECTED not in item["properties"]

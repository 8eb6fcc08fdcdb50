"""How good syntheses are: published items of methods and masks side by side, period by period."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from catalog.backends.base import Document
from catalog.collections import synthesis_collection
from catalog.search import normalise_tile
from cube.bands import REFLECTANCE_SCALE
from cube.classes import NAMES
from cube.grid import Block, blocks
from cube.periods import Period
from cube.quality import CLOUD_STEP, SHADOW_SHARE, TOLERANCE, Residual
from cube.spec import Spec
from cube.synthesis import method
from jobs.errors import RequestError, fault
from jobs.judged_areas import Areas, read_areas
from jobs.left_out import GatheredClouds, leave_out
from jobs.memory import BlockLoad, block_side
from jobs.period_params import PeriodParams, periods_of
from jobs.recorded_month import angle_files, recorded_month
from jobs.runner.publish import published
from jobs.seen_dates import SeenDate, SeenDates, best_mask, days_from, seen_dates
from jobs.simulate.truth import Truth
from jobs.synthesis import PRODUCT
from jobs.synthesis_judging import (
    COMPARED_DAYS,
    GROUND,
    NDVI,
    REFERENCE_DAYS,
    BandVerdict,
    Bench,
    Judged,
    LayerFiles,
    Verdict,
    judge_block,
)

if TYPE_CHECKING:
    from jobs.workspace import Workspace

NEAREST_DAYS = 3
"""Days from the centre within which a date is left out to judge fidelity by."""

LEFT_OUT_CLEAR, COMPARED_CLEAR = 0.5, 0.9
"""Share of the areas that must be clear on the one and on the other."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One method with one mask, each with its variant."""

    method: str
    mask: str

    @property
    def name(self) -> str:
        """As tables name it: ``wasp scl:wide``."""
        return f"{self.method} {self.mask}"

    def find(self, workspace: "Workspace", tile: str, period: Period) -> Document | None:
        """Its item of a period."""
        word, _, variant = self.method.partition(":")
        words = (tile, period.label, word, self.mask.replace(":", "-"), variant)
        name = "_".join(filter(None, words))
        return published(workspace, synthesis_collection(word), name)


@dataclass(slots=True)
class Account:
    """What is found of a candidate: by period and in all."""

    items: dict[str, Document] = field(default_factory=dict)
    """Its items by the label of the period."""
    total: Verdict = field(default_factory=Verdict)
    periods: dict[str, Document] = field(default_factory=dict)
    """The verdict on each period, as JSON."""


@dataclass(frozen=True, slots=True)
class Trial:
    """All that is judged, and by what."""

    tile: str
    periods: Sequence[Period]
    accounts: Mapping[Candidate, Account]
    masks: Mapping[str, SeenDates]
    reference: SeenDates
    areas: Areas
    truth: "SimulatedTruth | None"
    nearest: int
    """Days from the centre within which the date that is left out lies."""
    mistaken: Residual = field(default_factory=Residual)
    """What the rule of clouds and shadows says of the clear dates themselves."""

    @property
    def spec(self) -> Spec:
        """Of the cube."""
        return self.reference.cube.spec

    def nearest_clear(self, period: Period, days: int, share: float) -> SeenDate | None:
        """The date nearest to the centre, by the reference clear over so much of the areas."""
        dates = sorted(self.reference.dates, key=lambda one: days_from(one.day, period.centre))
        for one in dates:
            if days_from(one.day, period.centre) > days:
                break
            if self.reference.clear_share(one, self.areas, GROUND) >= share:
                return one
        return None


def validate_synthesis(
    workspace: "Workspace",
    tile: str,
    datetime: str,
    methods: Sequence[str] = ("wasp",),
    masks: Sequence[str] = ("scl",),
    *,
    period: str = "month",
    reference: str | None = None,
    areas: Path | None = None,
    truth: Path | None = None,
    nearest: int = NEAREST_DAYS,
    picture: Path | None = None,
) -> Document:
    """Methods (``wasp``, ``median:wide``) and masks of a tile -> measures of their items, as JSON.

    All are held against the same clear observations, those of the mask ``reference`` (default the
    best there is). ``areas`` is GeoJSON, ``truth`` the folder of a simulated season, ``picture``
    where a PNG is written. ``RequestError`` where there is nothing to judge.
    """
    tile = normalise_tile(tile)
    try:
        asked = PeriodParams(tile=tile, datetime=datetime, period=period)
    except ValidationError as error:
        raise RequestError(fault(error)) from None
    trial = _trial(workspace, asked, methods, masks, reference, areas, truth, nearest)
    dates: dict[str, Document] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="clearcube-") as folder:
        files, clouds = LayerFiles(), GatheredClouds(Path(folder))
        for one in trial.periods:
            dates[one.label] = _judge_period(workspace, trial, one, files, clouds, notes)
    found = _document(trial, dates, notes)
    if picture is not None:
        from jobs.synthesis_validation_picture import draw

        draw(picture, found)
        found["picture"] = str(picture)
    return found


# --- what is judged --------------------------------------------------------------------------------


def _trial(
    workspace: "Workspace",
    asked: PeriodParams,
    methods: Sequence[str],
    masks: Sequence[str],
    reference: str | None,
    areas: Path | None,
    truth: Path | None,
    nearest: int,
) -> Trial:
    tile, periods = asked.tile, periods_of(asked)
    for word in methods:
        method(word.partition(":")[0])  # says so where there is none
    names = list(dict.fromkeys(masks))
    held = {name: seen_dates(workspace, tile, name) for name in names}
    accounts = {
        Candidate(word, mask): Account() for mask in names for word in dict.fromkeys(methods)
    }
    for candidate, account in accounts.items():
        found = ((one.label, candidate.find(workspace, tile, one)) for one in periods)
        account.items = {label: item for label, item in found if item is not None}
        if not account.items:
            raise _nothing(asked, candidate)
    level = held[names[0]].cube.spec.level
    best = reference or best_mask(workspace, tile, level)
    seen = held[best] if best in held else seen_dates(workspace, tile, best)
    for one in (*held.values(), seen):
        if one.cube.spec.level != level:
            raise RequestError(
                f"mask {one.name} is of the {one.cube.spec.level} cube, {names[0]} of the {level} "
                "cube: judge them apart"
            )
    spec = seen.cube.spec
    for account in accounts.values():
        for item in account.items.values():
            _require_grid(item, spec)
    known = None if truth is None else SimulatedTruth.open(truth, spec)
    return Trial(tile, periods, accounts, held, seen, read_areas(areas, spec), known, nearest)


def _nothing(asked: PeriodParams, candidate: Candidate) -> RequestError:
    """The error that says how to make what is not there."""
    word, _, variant = candidate.method.partition(":")
    kind = "" if asked.period == "month" else f" --period {asked.period}"
    named = f" --name {variant}" if variant else ""
    return RequestError(
        f"no synthesis {candidate.method} of tile {asked.tile} with mask {candidate.mask} is "
        f"catalogued for {asked.datetime}; make it first: clearcube run synthesis --tile "
        f"{asked.tile} --datetime {asked.datetime} --method {word} --mask {candidate.mask}{kind}{named}"
    )


def _require_grid(item: Document, spec: Spec) -> None:
    """``RequestError`` where an item's rasters are not those of the cube's extent."""
    extent = spec.extent
    for asset in item["assets"].values():
        if "proj:transform" not in asset or "proj:shape" not in asset:
            continue
        size, _, left, _, _, top = asset["proj:transform"][:6]
        if (left, top) != (extent.left, extent.top) or tuple(asset["proj:shape"]) != extent.shape(
            int(size)
        ):
            raise RequestError(f"{item['id']} is not on the grid of the cube; make it again")


def _no_truth(folder: Path, said: str) -> str:
    return f"{folder} holds no truth of a simulated season: {said}; give the folder truth of clearcube demo"


@dataclass(frozen=True, slots=True)
class SimulatedTruth:
    """The truth of a simulated season, on the grid of the cube."""

    truth: Truth
    spec: Spec

    @classmethod
    def open(cls, folder: Path, spec: Spec) -> "SimulatedTruth":
        """Folder that the simulator wrote; ``RequestError`` where it is none."""
        try:
            truth = Truth(folder)
            season = truth.document["season"]
            corner, size = (season["west"], season["north"]), season["size"]
            truth.months  # noqa: B018
        except OSError as error:
            said = f"its truth.json cannot be read ({error.strerror or error})"
            raise RequestError(_no_truth(folder, said)) from error
        except (ValueError, KeyError, TypeError) as error:
            said = "its truth.json is not as the simulator writes it"
            raise RequestError(_no_truth(folder, said)) from error
        extent = spec.extent
        if (extent.left, extent.top) != corner or extent.shape(10) != (size, size):
            raise RequestError(
                f"the truth in {folder} is not of what the cube of tile {spec.tile} covers"
            )
        return cls(truth, spec)

    def month(self, period: Period) -> dict[str, NDArray[np.int16]]:
        """True dn of a month by band; none of other periods."""
        if period.label not in self.truth.months:
            return {}
        return {
            name: np.rint(values / REFLECTANCE_SCALE).astype(np.int16)
            for name, values in self.truth.month(period.label).items()
            if self._is_on_grid(name, values.shape)
        }

    def _is_on_grid(self, name: str, shape: tuple[int, ...]) -> bool:
        return any(
            v.name == name and self.spec.shape(v.group) == shape for v in self.spec.variables
        )


# --- how it is judged ------------------------------------------------------------------------------


def _judge_period(
    workspace: "Workspace",
    trial: Trial,
    period: Period,
    files: LayerFiles,
    clouds: GatheredClouds,
    notes: list[str],
) -> Document:
    """One period into all accounts; the dates that it was held against."""
    left_out = trial.nearest_clear(period, trial.nearest, LEFT_OUT_CLEAR)
    compared = trial.nearest_clear(period, COMPARED_DAYS, COMPARED_CLEAR)
    truth = {} if trial.truth is None else trial.truth.month(period)
    bench = Bench(period, trial.reference, trial.areas, left_out, compared, truth)
    judged = list(_judged(workspace, trial, bench, notes))
    verdicts = {each.name: Verdict() for each in judged}
    mistaken = Residual()
    side = _side(workspace, trial, bench)
    for block in _blocks(trial.spec, side):
        if not _is_inside(trial, block):
            continue
        found, wrong = judge_block(bench, judged, block, files, clouds)
        mistaken.add(wrong)
        for name, verdict in found.items():
            verdicts[name].add(verdict)
    for candidate, account in trial.accounts.items():
        if candidate.name in verdicts:
            verdict = verdicts[candidate.name]
            account.total.add(verdict)
            account.periods[period.label] = verdict_document(verdict)
    trial.mistaken.add(mistaken)
    return {
        "left_out": None if left_out is None else str(left_out.day),
        "compared": None if compared is None else str(compared.day),
        "residual_of_compared": mistaken.document(),
    }


def _judged(
    workspace: "Workspace", trial: Trial, bench: Bench, notes: list[str]
) -> Iterator[Judged]:
    """What there is of a period, each with what stands before and after it."""
    labels = [one.label for one in trial.periods]
    at = labels.index(bench.period.label)
    before = labels[at - 1] if at else ""
    after = labels[at + 1] if at + 1 < len(labels) else ""
    for candidate, account in trial.accounts.items():
        item = account.items.get(bench.period.label)
        if item is None:
            continue
        seen = trial.masks[candidate.mask]
        gone, left_out, is_without = bench.left_out, None, False
        if gone is not None:
            is_without = gone.scenes not in {one.scenes for one in seen.dates}
            left_out = leave_out(item, seen, gone, angle_files(workspace, item))
            if left_out is None and not is_without:
                notes.append(
                    f"{item['id']}: made of other dates than the catalogue holds now, so that none "
                    "is left out; run it again"
                )
        yield Judged(
            candidate.name,
            item,
            recorded_month(item),
            seen,
            account.items.get(before),
            account.items.get(after),
            left_out,
            is_without,
        )


def _side(workspace: "Workspace", trial: Trial, bench: Bench) -> int:
    """Side of a block in pixels of the coarsest group, as a worker's memory has it."""
    spec = trial.spec
    bands = {
        group: sum(v.group == group and v.kind == "reflectance" for v in spec.variables)
        for group in spec.groups
    }
    load = BlockLoad(
        spec,
        dates=len(bench.dates),
        # Those of the synthesis without a date; blue and near infrared of the reference.
        reads={group: count + 2 for group, count in bands.items()},
        # Of a layer eight bytes count; those without a date are kept of all until they are compared.
        layers={
            group: 2 * count + 5 + ceil((count + 1) * len(trial.accounts) / 4)
            for group, count in bands.items()
        },
        scratch=PRODUCT.scratch + 4,
    )
    return block_side(workspace.worker_memory, load)


def _blocks(spec: Spec, side: int) -> Iterator[Block]:
    coarsest = list(spec.groups)[-1]
    yield from blocks(spec.shape(coarsest), side)


def _is_inside(trial: Trial, block: Block) -> bool:
    """Whether any area lies in a block."""
    group = next(iter(trial.spec.groups))
    window = block.window(trial.spec.factor(group))
    return bool(trial.areas.numbers(trial.spec, group, window).any())


# --- what is said of it ----------------------------------------------------------------------------

_PARTS = (
    "fidelity",
    "common",
    "truth",
    "edges",
    "elsewhere",
    "changes",
    "noise",
    "temporal",
    "seam",
)


def verdict_document(verdict: Verdict) -> Document:
    """Verdict -> JSON: of each band, and the means over the bands; what is of nothing is None."""
    bands = {name: _band_document(found) for name, found in verdict.bands.items()}
    spectral = [each for name, each in bands.items() if name != NDVI]
    return {
        "gaps": verdict.gaps.document(),
        "residual": verdict.residual.document(),
        "date_distance": verdict.distance.document(),
        "date_texture": verdict.texture.document(),
        "mean_of_bands": {part: _means([each[part] for each in spectral]) for part in _PARTS},
        "bands": bands,
    }


def _band_document(found: BandVerdict) -> Document:
    return {part: getattr(found, part).document() for part in _PARTS}


def _means(documents: Sequence[Mapping[str, Any]]) -> Document:
    """The same figures of several bands -> their means; of counts the greatest."""
    found: Document = {}
    for key in dict.fromkeys(key for each in documents for key in each):
        values = [each[key] for each in documents if each.get(key) is not None]
        if key in ("pixels", "pairs"):
            found[key] = max(values, default=0)
        else:
            found[key] = float(f"{sum(values) / len(values):.6g}") if values else None
    return found


def _document(trial: Trial, dates: Mapping[str, Document], notes: Sequence[str]) -> Document:
    covered = len(trial.reference.dates)
    all_dates = len(trial.reference.cube.valid_dates)
    return {
        "tile": trial.tile,
        "periods": [one.label for one in trial.periods],
        "reference": {
            "mask": trial.reference.name,
            "classes": [NAMES[code] for code in GROUND],
            "days": REFERENCE_DAYS,
            "dates": covered,
            "dates_without_mask": all_dates - covered,
            "residual": trial.mistaken.document(),
        },
        "thresholds": {
            "cloud": CLOUD_STEP,
            "shadow": SHADOW_SHARE,
            "within": list(TOLERANCE),
            "left_out_days": trial.nearest,
            "left_out_clear": LEFT_OUT_CLEAR,
            "compared_days": COMPARED_DAYS,
            "compared_clear": COMPARED_CLEAR,
        },
        "areas": trial.areas.source,
        "truth": None if trial.truth is None else str(trial.truth.truth.folder),
        "dates": dict(dates),
        "syntheses": {
            candidate.name: _account_document(trial, candidate, account)
            for candidate, account in trial.accounts.items()
        },
        "notes": list(dict.fromkeys(notes)),
        "picture": None,
    }


def _account_document(trial: Trial, candidate: Candidate, account: Account) -> Document:
    return {
        "method": candidate.method,
        "mask": candidate.mask,
        "missing": [one.label for one in trial.periods if one.label not in account.items],
        "all": verdict_document(account.total),
        "per_period": account.periods,
    }

"""The whole main job on a simulated season, compared with its truth and reported as a page."""

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray

from cube.landscape import COVERS
from jobs.errors import JobError
from jobs.figures import Curve
from jobs.ingest import ingest
from jobs.job import Outcome
from jobs.report import Headline, MonthView, Report, SceneView, quicklook, write_report
from jobs.runner.progress import Progress
from jobs.runner.run import Session
from jobs.simulate.accuracy import (
    MaskAccuracy,
    ReflectanceError,
    mask_accuracy,
    mask_confusion,
    reflectance_error,
)
from jobs.simulate.season import Season, write_season
from jobs.simulate.truth import Truth
from jobs.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import pystac

BANDS = ("blue", "green", "red", "rededge1", "nir", "nir08", "swir16", "swir22")
"""Bands whose accuracy is told."""

_NO_DATE = -10000

_SIMULATOR = 2
"""Raised whenever the same season becomes other pixels."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demonstration found."""

    report: Path
    workspace: Path
    products: int
    dates: int
    masks: dict[str, MaskAccuracy]
    reflectances: dict[str, dict[str, ReflectanceError]]
    seconds: float
    commands: tuple[tuple[str, str], ...]

    @property
    def rmse(self) -> float:
        """Root mean square error of all months and bands, over land."""
        errors = [error.rmse for month in self.reflectances.values() for error in month.values()]
        return float(np.sqrt(np.mean(np.square(errors))))

    @property
    def gap(self) -> float:
        """Share of the land without a value, mean over months."""
        gaps = [max(each.gap for each in month.values()) for month in self.reflectances.values()]
        return float(np.mean(gaps))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "report": str(self.report),
            "workspace": str(self.workspace),
            "products": self.products,
            "dates": self.dates,
            "seconds": round(self.seconds, 1),
            "rmse": self.rmse,
            "gap": self.gap,
            "masks": {
                name: {
                    "overall": each.overall,
                    "balanced": each.balanced,
                    "usable": each.usable,
                    "classes": {
                        one.name: {"producer": one.producer, "user": one.user}
                        for one in each.classes
                        if one.true
                    },
                }
                for name, each in self.masks.items()
            },
            "reflectances": {
                month: {band: asdict(error) for band, error in errors.items()}
                for month, errors in self.reflectances.items()
            },
        }

    def text(self) -> str:
        """For a terminal."""
        lines = [
            f"{self.products} simulated products of {self.dates} dates went through ingest, cube, "
            f"masks and syntheses in {self.seconds:.0f} s."
        ]
        for name, each in self.masks.items():
            found = ", ".join(
                f"{one.name} {100 * one.producer:.0f} %" for one in each.classes if one.true
            )
            lines.append(
                f"mask {name}: {100 * each.overall:.1f} % of the pixels have the right class; "
                f"found of each class: {found}"
            )
        for month, errors in self.reflectances.items():
            worst = max(errors.values(), key=lambda error: error.rmse)
            mean = float(np.mean([error.rmse for error in errors.values()]))
            lines.append(
                f"synthesis {month}: reflectance RMSE over land {mean:.4f} (mean of the bands; "
                f"worst {worst.rmse:.4f}), {100 * worst.gap:.2f} % without a value"
            )
        lines.append(f"of all months and bands: RMSE over land {self.rmse:.4f}")
        lines += ["", f"report: {self.report}", "", "try next:"]
        lines += [f"  {command}\n      {why}" for command, why in self.commands]
        return "\n".join(lines)


def run_demo(
    output: Path,
    *,
    seed: int = 1,
    season: Season | None = None,
    progress: Progress | None = None,
) -> DemoResult:
    """Directory -> products, truth, workspace and report below it; a second run makes nothing."""
    progress = progress or Progress(quiet=True)
    season = replace(season or Season(), seed=seed)
    start = time.monotonic()
    truth = _simulated(output, season, progress)
    workspace_path = output / "workspace"
    with open_workspace(workspace_path) as workspace:
        _succeeded(ingest(workspace, [str(output / "products")], progress=progress))
        period = f"{truth.months[0]}/{truth.months[-1]}"
        names = ["scl", "clm"] if season.maja_dates else ["scl"]
        with Session(workspace, progress) as session:
            request = {"tile": season.tile, "datetime": period, "method": "wasp", "mask": "scl"}
            _succeeded(session.run("synthesis", request))
            for name in names:
                _succeeded(session.run("decode-masks", {"tile": season.tile, "encoding": name}))
        progress.say("comparing with the truth")
        found = _compare(workspace, truth, season, names)
    result = DemoResult(
        report=(output / "report.html").resolve(),
        workspace=workspace_path,
        products=sum(len(entry["products"]) for entry in truth.dates),
        dates=len(truth.dates),
        masks=found.masks,
        reflectances=found.reflectances,
        seconds=time.monotonic() - start,
        commands=_commands(workspace_path, season, truth),
    )
    write_report(result.report, _report(result, found, season))
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Results beside the truth, as the page shows them."""

    scenes: list[SceneView]
    months: list[MonthView]
    curves: list[Curve]
    masks: dict[str, MaskAccuracy]
    reflectances: dict[str, dict[str, ReflectanceError]]
    notes: list[str]


def _simulated(output: Path, season: Season, progress: Progress) -> Truth:
    """The season of this directory, written where it is not there yet."""
    marker = output / "truth" / "season.txt"
    simulated = f"{_SIMULATOR} {season!r}"
    if marker.is_file():
        if marker.read_text("utf-8") != simulated:
            raise JobError(
                f"{output} holds another simulation; name another --output, or delete it"
            )
        progress.say(f"the simulated products in {output} are there already")
    else:
        progress.say(f"simulating {season.first} to {season.last} over tile {season.tile}")
        write_season(output, season)
        marker.write_text(simulated, encoding="utf-8")
    return Truth(output / "truth")


def _succeeded(outcome: Outcome) -> None:
    if outcome.failures:
        raise JobError(f"the demonstration failed: {outcome.failures[0]}")


def _compare(workspace: Workspace, truth: Truth, season: Season, names: list[str]) -> _Found:
    masks = {name: _masks(workspace, season, name) for name in names}
    accuracies = {}
    for name, by_day in masks.items():
        confusion = sum(
            mask_confusion(truth.classes(truth.on(day)["products"][0]), called)
            for day, called in by_day.items()
        )
        accuracies[name] = mask_accuracy(np.asarray(confusion))
    land = truth.landscape.cover != COVERS.index("water")
    syntheses = {
        month: _synthesis(workspace, season, f"{season.tile}_{month}_wasp_scl")
        for month in truth.months
    }
    with _cube(workspace, season) as cube:
        return _Found(
            scenes=_scenes(cube, truth, masks["scl"]),
            months=[_month_view(truth, month, found) for month, found in syntheses.items()],
            curves=_curves(cube, truth, masks["scl"], syntheses),
            masks=accuracies,
            reflectances={
                month: _errors(truth.month(month), found, land)
                for month, found in syntheses.items()
            },
            notes=_notes(cube, truth, season),
        )


def _masks(workspace: Workspace, season: Season, name: str) -> dict[date, NDArray[np.uint8]]:
    """Decoded masks by day, (y, x) uint8 at 10 m."""
    found = {}
    for item in _items(workspace, season, f"cloud-mask-{name}"):
        classes = _read(item, "mask").astype(np.uint8)
        step = season.size // classes.shape[0]
        found[_day(item)] = classes.repeat(step, axis=0).repeat(step, axis=1)
    return dict(sorted(found.items()))


def _synthesis(workspace: Workspace, season: Season, name: str) -> dict[str, NDArray[np.float32]]:
    """Reflectances (NaN for none) and layers of one synthesis."""
    for item in _items(workspace, season, "synthesis-wasp"):
        if item.id == name:
            break
    else:
        raise JobError(f"the demonstration made no synthesis {name}")
    layers = {layer: _read(item, layer) for layer in ("weight", "date", "status")}
    bands = {}
    for band in BANDS:
        stored = _read(item, band).astype(np.float32)
        about = item.assets[band].extra_fields["raster:bands"][0]
        stored[stored == about["nodata"]] = np.nan
        bands[band] = stored * np.float32(about["scale"]) + np.float32(about["offset"])
    return {**bands, **layers}


def _items(workspace: Workspace, season: Season, collection: str) -> "list[pystac.Item]":
    return workspace.search(tile=season.tile, collections=[collection], limit=1000)


def _read(item: "pystac.Item", key: str) -> NDArray[Any]:
    with rasterio.open(item.assets[key].href) as source:
        values: NDArray[Any] = source.read(1)
    return values


def _day(item: "pystac.Item") -> date:
    if item.datetime is None:
        raise JobError(f"{item.id} has no date")
    return item.datetime.date()


def _cube(workspace: Workspace, season: Season) -> xr.Dataset:
    """The cube as anyone may open it, by what its item says; dates in order."""
    asset = next(
        item for item in _items(workspace, season, "cubes") if item.id == season.tile
    ).assets["r10m"]
    cube = xr.open_zarr(asset.href, **asset.extra_fields["xarray:open_kwargs"])
    opened: xr.Dataset = cube.isel(time=cube.valid.values.astype(bool)).sortby("time")
    return opened


def _scenes(
    cube: xr.Dataset, truth: Truth, masks: Mapping[date, NDArray[np.uint8]]
) -> list[SceneView]:
    views = []
    for index, day in enumerate(_days(cube)):
        picture = cube.isel(time=index)
        entry = truth.on(day)
        product = entry["products"][-1] if len(entry["products"]) == 1 else entry["products"][1]
        product = next(name for name in (product, *entry["products"]) if name.startswith("S2"))
        baseline = product.split("_")[3]
        notes = {"N0510": "baseline with offset", "N0301": "delivered twice, the newer used"}
        views.append(
            SceneView(
                title=f"{day.day} {day:%B %Y}",
                detail=f"{product[:3]} · orbit {entry['relative_orbit']} · baseline {baseline}",
                rgb=quicklook(*(picture[name].values for name in ("red", "green", "blue"))),
                called=masks[day],
                truth=truth.classes(entry["products"][0]),
                note=notes.get(baseline, ""),
            )
        )
    return views


def _month_view(truth: Truth, month: str, found: Mapping[str, NDArray[Any]]) -> MonthView:
    ground = truth.month(month)
    days = found["date"]
    known = days[days != _NO_DATE]
    middle = date.fromisoformat(f"{month}-15")
    mean = float(known.mean()) if known.size else float("nan")
    away = mean - (middle - date(1970, 1, 1)).days
    return MonthView(
        title=f"{middle:%B %Y}",
        rgb=quicklook(found["red"], found["green"], found["blue"]),
        weight=found["weight"],
        days=days,
        status=found["status"],
        truth=quicklook(ground["red"], ground["green"], ground["blue"]),
        detail=f"mean date {away:+.1f} days from the 15th",
    )


def _curves(
    cube: xr.Dataset,
    truth: Truth,
    masks: Mapping[date, NDArray[np.uint8]],
    syntheses: Mapping[str, Mapping[str, NDArray[np.float32]]],
) -> list[Curve]:
    days = _days(cube)
    dates = np.array(days, dtype="datetime64[D]")
    first, last = dates.min() - np.timedelta64(5, "D"), dates.max() + np.timedelta64(5, "D")
    true_dates = np.arange(first, last, np.timedelta64(3, "D"))
    of_year = [day.astype(object).timetuple().tm_yday for day in true_dates]
    red, nir = cube.red.values, cube.nir.values
    months = np.array([f"{month}-15" for month in syntheses], dtype="datetime64[D]")
    curves = []
    for field in truth.parcels:
        inside = truth.landscape.area(field["parcel"])
        values = np.array(
            [_ndvi(red[index][inside], nir[index][inside]) for index in range(len(days))]
        )
        clear = np.array([np.isin(masks[day][inside], (1, 5, 6)).mean() > 0.9 for day in days])
        made = [_ndvi(each["red"][inside], each["nir"][inside]) for each in syntheses.values()]
        curves.append(
            Curve(
                title=field["cover"].replace("_", " "),
                dates=dates,
                values=values.astype(np.float32),
                clear=clear,
                true_dates=true_dates,
                true_values=truth.ndvi(field["parcel"], of_year),
                month_dates=months,
                month_values=np.array(made, dtype=np.float32),
            )
        )
    return curves


def _ndvi(red: NDArray[np.floating], nir: NDArray[np.floating]) -> float:
    """Pixels of a field -> mean NDVI of those with a value, NaN where most have none."""
    known = np.isfinite(red) & np.isfinite(nir) & (red + nir > 0)
    if known.mean() < 0.5:
        return float("nan")
    red, nir = red[known], nir[known]
    return float(((nir - red) / (nir + red)).mean())


def _errors(
    ground: Mapping[str, NDArray[np.float32]],
    found: Mapping[str, NDArray[np.float32]],
    land: NDArray[np.bool_],
) -> dict[str, ReflectanceError]:
    errors = {}
    for band in BANDS:
        step = land.shape[0] // ground[band].shape[0]
        area = land[::step, ::step] & land[step - 1 :: step, step - 1 :: step]
        errors[band] = reflectance_error(ground[band], found[band], area)
    return errors


def _notes(cube: xr.Dataset, truth: Truth, season: Season) -> list[str]:
    """What the odd deliveries came to, and how the season was made."""
    days = _days(cube)
    odd = {
        season.offset_date: "The date of a baseline with an add-offset",
        season.duplicate_date: "The date delivered twice, first 6 % too bright,",
    }
    notes = []
    for number, entry in enumerate(truth.dates):
        day = date.fromisoformat(entry["sensed"][:10])
        if number not in odd or day not in days:
            continue
        ground = truth.ground(entry["day"], ("nir",))["nir"]
        clear = truth.classes(entry["products"][0]) == 1
        nir = cube.nir.values[days.index(day)]
        median = float(np.nanmedian((nir - ground)[clear]))
        notes.append(
            f"{odd[number]} ({day}) lies {median:+.4f} from the truth in the near infrared "
            "(median over clear land)."
        )
    errors = season.errors
    notes.append(
        f"The simulated SCL misses {errors.missed_cloud:.1%} of the clouds, "
        f"{errors.missed_thin:.1%} of the thin clouds and {errors.missed_shadow:.1%} of the "
        f"shadows, and calls {errors.false_cloud:.1%} of the clear ground cloud and "
        f"{errors.false_shadow:.1%} of the ground shadow; besides, it is made at 20 m and compared "
        "at 10 m."
    )
    if season.maja_dates:
        notes.append(
            "The simulated CLM makes no errors of its own; it takes thin cloud above an opacity "
            "of 0.25 for cloud, and cloud before shadow."
        )
    notes.append("Everything here is simulated; no real image was used.")
    return notes


def _days(cube: xr.Dataset) -> list[date]:
    return [
        datetime.fromtimestamp(int(seconds), tz=UTC).date()
        for seconds in cube.time.values.astype("datetime64[s]").astype(np.int64)
    ]


def _commands(workspace: Path, season: Season, truth: Truth) -> tuple[tuple[str, str], ...]:
    program = _program()
    head = f"{program} --workspace {workspace}"
    month = truth.months[len(truth.months) // 2]
    return (
        (
            f"{head} search --collection synthesis-wasp",
            "the syntheses as items; --json gives their files",
        ),
        (
            f"{head} run synthesis --tile {season.tile} --datetime {month} --method median",
            "one month again by another method, beside the first",
        ),
        (
            f"{head} run decode-masks --tile {season.tile} --encoding scl --set buffer=60 "
            "--name wide",
            "masks whose clouds and shadows grow by 60 m",
        ),
        (f"{program} explain-mask clm 33", "what a value of MAJA's cloud mask means"),
        (f"{program} ingest YOUR-PRODUCTS", "the same with your own SAFE or MUSCATE products"),
    )


def _program() -> str:
    """How the user calls the command: by its path where it is not on the PATH."""
    own = Path(sys.argv[0])
    if shutil.which("clearcube") or own.name != "clearcube":
        return "clearcube"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


def _report(result: DemoResult, found: _Found, season: Season) -> Report:
    scl = result.masks["scl"]
    headlines = [
        Headline("right class", f"{100 * scl.overall:.1f} %", "pixels of the SCL masks"),
        Headline("right use", f"{100 * scl.usable:.1f} %", "ground seen or hidden"),
        Headline("reflectance RMSE", f"{result.rmse:.4f}", "syntheses, all bands, land"),
        Headline("gaps", f"{100 * result.gap:.2f} %", "land without a value in a month"),
        Headline("products", f"{result.products}", f"of {result.dates} dates"),
        Headline("time", f"{result.seconds:.0f} s", "of this run, what was there not made again"),
    ]
    side = season.size / 100
    return Report(
        title=f"A simulated season over tile {season.tile}",
        summary=(
            f"{side:.1f} by {side:.1f} km of fields, woods, water and a town, "
            f"{season.first:%d %B} to {season.last:%d %B %Y}: Sentinel-2 products with drifting "
            "clouds went through the whole job, and what came out is held against what is true."
        ),
        headlines=headlines,
        scenes=found.scenes,
        months=found.months,
        curves=found.curves,
        masks=found.masks,
        reflectances=found.reflectances,
        commands=result.commands,
        notes=found.notes,
    )

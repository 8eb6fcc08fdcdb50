"""``clearcube validate synthesis``: methods and masks side by side."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from jobs.commands.console import State, json_option, pass_state, say_json
from jobs.commands.tables import number, percent, table


@click.command("synthesis")
@click.option("--tile", required=True, help="MGRS tile, e.g. 31UES.")
@click.option(
    "--datetime", required=True, help="Periods to judge: 2019-05, 2018-08/2019-11, or 2019-Q2."
)
@click.option(
    "--period", default="month", show_default=True, help="Their kind, as run synthesis has it."
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("wasp",),
    show_default=True,
    metavar="NAME",
    help="Method to judge, e.g. wasp, median:wide (a variant); may be repeated.",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    default=("scl",),
    show_default=True,
    metavar="NAME",
    help="Mask that they were made with, e.g. combined, scl:wide; may be repeated.",
)
@click.option(
    "--reference",
    metavar="NAME",
    help="Mask whose clear observations all are held against [the best there is].",
)
@click.option(
    "--areas",
    type=click.Path(path_type=Path),
    metavar="FILE.geojson",
    help="Judge inside these polygons only; they are the fields of the noise, too.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Truth of a simulated season, as demo writes it.",
)
@click.option(
    "--nearest",
    type=click.IntRange(0, 23),
    default=3,
    show_default=True,
    metavar="DAYS",
    help="Days from the centre within which a clear date is left out to judge fidelity by.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Picture to write: by period, and in all.",
)
@json_option
@pass_state
def command(
    state: State,
    tile: str,
    datetime: str,
    period: str,
    methods: tuple[str, ...],
    masks: tuple[str, ...],
    reference: str | None,
    areas: Path | None,
    truth: Path | None,
    nearest: int,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Judge published syntheses: gaps, clouds left, fidelity, dates, steps, noise, seams."""
    from jobs.synthesis_validation import validate_synthesis

    with state.open(create=False) as workspace:
        found = validate_synthesis(
            workspace,
            tile,
            datetime,
            methods,
            masks,
            period=period,
            reference=reference,
            areas=areas,
            truth=truth,
            nearest=nearest,
            picture=picture,
        )
    if as_json:
        say_json(found)
        return 0
    for line in text(found):
        click.echo(line.rstrip())
    return 0


def text(found: Mapping[str, Any]) -> Iterator[str]:
    """Document of ``validate_synthesis`` -> lines of its tables."""
    yield from _about(found)
    syntheses = {name: one["all"] for name, one in found["syntheses"].items()}
    yield ""
    yield from _seen(syntheses, found["reference"]["residual"])
    for part in (_fidelity, _neighbours):
        yield ""
        yield from part(syntheses)
    if found["truth"]:
        yield ""
        yield from _truth(syntheses)
    yield ""
    yield from _periods(found)
    if found["picture"]:
        yield ""
        yield f"picture: {found['picture']}"


def _about(found: Mapping[str, Any]) -> Iterator[str]:
    reference, periods = found["reference"], found["periods"]
    span = periods[0] if len(periods) == 1 else f"{periods[0]} to {periods[-1]}"
    where = f", inside {found['areas']}" if found["areas"] else ""
    yield f"{found['tile']}: {len(periods)} periods, {span}{where}"
    yield (
        f"reference: {' and '.join(reference['classes'])} by {reference['mask']} "
        f"({reference['dates']} dates), within {reference['days']} days of the centre"
    )
    if reference["dates_without_mask"]:
        yield f"note: {reference['dates_without_mask']} dates of the cube have no such mask"
    for name, one in found["syntheses"].items():
        if one["missing"]:
            yield f"note: no {name} of {' '.join(one['missing'])}"
    for note in found["notes"]:
        yield f"note: {note}"


def _seen(syntheses: Mapping[str, Any], mistaken: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, one in syntheses.items():
        residual, distance, dates = one["residual"], one["date_distance"], one["date_texture"]
        rows.append(
            [
                name,
                percent(one["gaps"]["share"], 2),
                number(one["gaps"]["mean_clear_count"], 1),
                percent(residual["cloud"], 2),
                percent(residual["cloud_by_darkest_clear"], 2),
                percent(residual["shadow"], 2),
                number(distance["mean"], 1),
                number(distance["sd"], 1),
                number(dates["local_sd"], 1),
                percent(dates["different"]),
            ]
        )
    clear = [percent(mistaken[key], 2) for key in ("cloud", "cloud_by_darkest_clear", "shadow")]
    rows.append(["clear dates themselves", "-", "-", *clear, *["-"] * 4])
    heads = ["all periods", "gaps %", "clear", "cloud %", "(clear) %", "shadow %", "days", "sd"]
    yield from table([*heads, "local sd", "differ %"], rows)
    yield "  gaps: never seen clear; clear: times seen clear, mean; cloud, shadow: left in what shows"
    yield "  ground; (clear): above the darkest clear date instead of the darkest of all; days: from"
    yield "  the centre, mean and sd; local sd: of dates in 3 x 3 pixels; differ: neighbours' dates"


def _fidelity(syntheses: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, one in syntheses.items():
        mean = one["mean_of_bands"]
        row = [name, *_differences(mean["fidelity"], one["bands"], "fidelity")]
        common = mean["common"]
        rows.append([*row, str(common.get("pixels", 0)), number(common.get("rmse"), 4)])
    heads = ["against a clear date left out", *_DIFFERENCES, "common", "RMSE"]
    yield from table(heads, rows)
    yield "  means of the bands, reflectance; within: not farther than 0.01 or 5 %; common: pixels that"
    yield "  all of these show, and the RMSE of them alone"


def _truth(syntheses: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [name, *_differences(one["mean_of_bands"]["truth"], one["bands"], "truth")]
        for name, one in syntheses.items()
    ]
    yield from table(["against the truth", *_DIFFERENCES], rows)


_DIFFERENCES = ["pixels", "RMSE", "bias", "MAD", "within %", "NDVI RMSE", "bias"]


def _differences(mean: Mapping[str, Any], bands: Mapping[str, Any], part: str) -> list[str]:
    index = bands.get("ndvi", {}).get(part, {})
    return [
        str(mean.get("pixels", 0)),
        number(mean.get("rmse"), 4),
        number(mean.get("bias"), 4),
        number(mean.get("mad"), 4),
        percent(mean.get("within")),
        number(index.get("rmse"), 4),
        number(index.get("bias"), 4),
    ]


def _neighbours(syntheses: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, one in syntheses.items():
        mean, index = one["mean_of_bands"], one["bands"].get("ndvi", {})
        rows.append(
            [
                name,
                number(mean["noise"].get("ratio"), 2),
                *(number(mean[part].get("index"), 2) for part in ("edges", "elsewhere", "changes")),
                number(mean["temporal"].get("rms"), 4),
                number(index.get("temporal", {}).get("rms"), 4),
                number(mean["seam"].get("step"), 4),
            ]
        )
    heads = ["by a clear date", "noise", "edges", "elsewhere", "dates", "along time", "NDVI"]
    yield from table([*heads, "seam"], rows)
    yield "  noise within fields, and steps of neighbours across edges of the mask, elsewhere and"
    yield "  where another date is shown: ratios to a clear date, means of the bands; along time:"
    yield "  from the mean of the periods before and after; seam: step between relative orbits"


def _periods(found: Mapping[str, Any]) -> Iterator[str]:
    """A table a figure, a column a period."""
    labels, dates = found["periods"], found["dates"]
    days = [
        [name, *((dates[label][key] or "-").removeprefix("20") for label in labels)]
        for name, key in (("left out", "left_out"), ("compared", "compared"))
    ]
    yield from table(["clear date", *labels], days)
    yield "  left out: the nearest to the centre; compared: for steps and noise"
    for head, figure in _FIGURES.items():
        rows = [
            [
                name,
                *(figure(one["per_period"][k]) if k in one["per_period"] else "-" for k in labels),
            ]
            for name, one in found["syntheses"].items()
        ]
        yield ""
        yield from table([head, *labels], rows)


_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "gaps %": lambda one: percent(one["gaps"]["share"]),
    "cloud %": lambda one: percent(one["residual"]["cloud"]),
    "(clear) %": lambda one: percent(one["residual"]["cloud_by_darkest_clear"]),
    "RMSE": lambda one: number(one["mean_of_bands"]["fidelity"].get("rmse"), 4),
}

"""``clearcube validate``: results against what is held for true."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from jobs.commands.console import State, json_option, pass_state, say_json
from jobs.commands.tables import number, percent, table
from jobs.commands.validate_synthesis import command as synthesis


@click.group("validate")
def command() -> None:
    """Compare results with the truth: tables of accuracy, JSON, a picture."""


command.add_command(synthesis)


@command.command("masks")
@click.option("--tile", required=True, help="MGRS tile, e.g. 31UES.")
@click.option(
    "--mask",
    "masks",
    multiple=True,
    default=("scl",),
    show_default=True,
    metavar="NAME",
    help="Mask to judge, e.g. scl, tsmask:wide; may be repeated, for masks side by side.",
)
@click.option(
    "--truth",
    required=True,
    type=click.Path(path_type=Path),
    help="Rasters of classes (a file or folder, dates in names), labelled cells (JSON), GeoJSON.",
)
@click.option("--values", metavar="ENCODING", help="Encoding of truth rasters [classes, or alcd].")
@click.option("--datetime", help="Dates to judge, STAC datetime; default all.")
@click.option(
    "--edge",
    type=click.FloatRange(0, 5000),
    default=60.0,
    show_default=True,
    metavar="METRES",
    help="What lies as near to an edge of the truth is left out of a second table.",
)
@click.option("--majority", is_flag=True, help="Judge a polygon by most of its pixels, as a cell.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Picture to write: each mask's confusion, and its accuracy date by date.",
)
@json_option
@pass_state
def masks(
    state: State,
    tile: str,
    masks: tuple[str, ...],
    truth: Path,
    values: str | None,
    datetime: str | None,
    edge: float,
    majority: bool,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Judge published masks by rasters, labelled cells, points or polygons."""
    from jobs.mask_validation import validate_masks

    with state.open(create=False) as workspace:
        found = validate_masks(
            workspace,
            tile,
            masks,
            truth,
            datetime=datetime,
            values=values,
            whole_shapes=majority,
            edge=edge,
            picture=picture,
        )
    if as_json:
        say_json(found)
        return 0
    for line in _text(found):
        click.echo(line.rstrip())
    return 0


def _text(found: Mapping[str, Any]) -> Iterator[str]:
    masks: Mapping[str, Any] = found["masks"]
    judged = {"majority": "each by most of its pixels", "pixel": "pixel by pixel"}
    yield (
        f"{found['tile']}: {found['dates']} dates of {found['truth']['source']} "
        f"({found['truth']['kind']}, {judged[found['judged_by']]})"
    )
    for name, missing in found["without_mask"].items():
        if missing:
            yield f"note: {len(missing)} dates of it have no mask {name}, the first {missing[0]}"
    yield ""
    yield from _summary({name: one["all"] for name, one in masks.items()}, "all")
    inner = {
        name: one["away_from_edges"] for name, one in masks.items() if "away_from_edges" in one
    }
    if inner and found["edge"]:
        yield ""
        yield from _summary(inner, f"{found['edge']:g} m from edges")
    yield from _sizes(masks)
    for name, one in masks.items():
        yield ""
        yield from _classes(name, one["all"])
        yield from _confusion(one["all"]["confusion"])
    yield ""
    yield from _dates(masks)
    if found["picture"]:
        yield ""
        yield f"picture: {found['picture']}"


def _summary(tables: Mapping[str, Mapping[str, Any]], title: str) -> Iterator[str]:
    """Valid against invalid, one mask a line; then what each true class was called."""
    classes = list(dict.fromkeys(name for one in tables.values() for name in one["called_invalid"]))
    rows = [
        [
            name,
            str(one["judged"]),
            number(one["balanced_accuracy"]),
            number(one["overall_accuracy"]),
            number(one["invalid"]["producers_accuracy"]),
            number(one["invalid"]["users_accuracy"]),
            number(one["invalid"]["f1"]),
            number(one["valid"]["f1"]),
            *(percent(one["called_invalid"].get(each)) for each in classes),
        ]
        for name, one in tables.items()
    ]
    heads = [title, "judged", "balanced", "overall", "invalid prod.", "user's", "F1", "valid F1"]
    yield from table([*heads, *(f"{each} %" for each in classes)], rows)
    yield "  class %: share of the true class that is called cloud, thin cloud or shadow"


def _sizes(masks: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [
            name,
            f"{size['least_ha']:g}",
            *(str(size[key]) for key in ("clouds", "found", "pixels")),
            percent(size["recall"]),
        ]
        for name, one in masks.items()
        for size in one.get("cloud_sizes", ())
        if size["clouds"]
    ]
    if rows:
        yield ""
        heads = ["clouds by size", "from ha", "clouds", "found", "pixels", "of them found %"]
        yield from table(heads, rows)


def _classes(name: str, one: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [
            label,
            str(rates["truth"]),
            str(rates["predicted"]),
            number(rates["producers_accuracy"]),
            number(rates["users_accuracy"]),
            number(rates["f1"]),
        ]
        for label, rates in one["classes"].items()
    ]
    yield from table([name, "truth", "predicted", "producer's", "user's", "F1"], rows)


def _confusion(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    names = list(next(iter(counts.values()), {}))
    rows = [[f"true {name}", *(str(row[other]) for other in names)] for name, row in counts.items()]
    yield from table(["called", *names], rows)


def _dates(masks: Mapping[str, Any]) -> Iterator[str]:
    """Overall accuracy by date, and the shares of wrongly called valid and invalid."""
    first = next(iter(masks.values()))["per_date"]
    rows = []
    for day, one in first.items():
        row = [day, str(one["valid"]["truth"]), str(one["invalid"]["truth"])]
        for mask in masks.values():
            judged = mask["per_date"][day]
            row += [
                number(judged["overall_accuracy"]),
                _lost(judged["valid"]["producers_accuracy"]),
                _lost(judged["invalid"]["producers_accuracy"]),
            ]
        rows.append(row)
    heads = ["date", "valid", "invalid"]
    for name in masks:
        heads += [f"{name}: overall", "lost %", "missed %"]
    yield from table(heads, rows)
    yield "  lost: valid called invalid; missed: invalid called valid"


def _lost(value: float | None) -> str:
    return "-" if value is None else f"{100 * (1 - value):.1f}"

"""``clearcube diff``: what changed between two items or generations."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from jobs.commands.console import State, json_option, pass_state, say_json

SHOWN = 8
"""Lines of what became what, for one raster."""


@click.command("diff")
@click.argument("first")
@click.argument("second", required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Picture to write; default diff-FIRST-SECOND.png here.",
)
@json_option
@pass_state
def command(
    state: State, first: str, second: str | None, output: Path | None, as_json: bool
) -> int:
    """Tell what changed from FIRST to SECOND, in numbers and a picture.

    Each is an item (id, or COLLECTION/ID), an older generation of one (ID@FINGERPRINT), a folder of
    rasters or a file. FIRST alone is compared with its generation before.
    """
    from jobs.diff import diff

    names = (first, second) if second is not None else (first, "before")
    plain = (re.sub(r"[^A-Za-z0-9_.@-]+", "-", Path(name).name or name) for name in names)
    with state.open(create=False) as workspace:
        found = diff(workspace, first, second, output or Path(f"diff-{'-'.join(plain)}.png"))
    if as_json:
        say_json(found)
        return 0
    for line in _lines(found):
        click.echo(line.rstrip())
    return 0


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['first']} -> {found['second']}"
    yield from _recipe(found["recipe"])
    apart: dict[str, list[str]] = {}
    for key, why in found["not_compared"].items():
        apart.setdefault(why, []).append(key)
    for why, keys in apart.items():
        yield f"not compared: {' '.join(keys)}: {why}"
    if found["same"]:
        yield f"the same in all of {' '.join(found['assets'])}"
        return
    yield ""
    rows: dict[str, Mapping[str, Any]] = {}
    for kind in ("reflectance", "number"):
        for key, one in found["assets"].items():
            if one["kind"] == kind:
                rows[key] = one
                rows |= _by_status(key, one)
    if rows:
        yield from _table("second minus first", rows)
    for key, one in found["assets"].items():
        if one["kind"] == "codes":
            yield from _codes(key, one)
    if found["picture"]:
        yield f"picture: {found['picture']}"


def _recipe(recipe: Mapping[str, Any] | None) -> Iterator[str]:
    if recipe is None:
        yield "files of which no item says how they were made: recipes are not compared"
        return
    for name in recipe["inputs_added"]:
        yield f"  input added    {name}"
    for name in recipe["inputs_removed"]:
        yield f"  input removed  {name}"
    for name, (before, after) in recipe["inputs_changed"].items():
        yield f"  input changed  {name}  {before} -> {after}"
    for name, (before, after) in (recipe["parameters"] | recipe["made_by"]).items():
        yield f"  {name}  {_said(before)} -> {_said(after)}"


def _by_status(key: str, one: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A line for each status, where a reflectance was compared on several."""
    if one["kind"] != "reflectance" or not one["changed"] or len(one["by_status"]) < 2:
        return {}
    return {f"  {key} of {status}": tally for status, tally in one["by_status"].items()}


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    width = max(len(title), *(len(key) for key in rows))
    heads = ("compared", "changed", "share", "mean", "median", "rms", "max")
    yield f"{title:{width}}" + "".join(f"{head:>11}" for head in heads) + "  nodata +/-"
    for key, one in rows.items():
        compared = one.get("compared", one.get("pixels"))
        share = "-" if one["share"] is None else f"{100 * one['share']:.4g} %"
        cells = [str(compared), str(one["changed"]), share]
        cells += [_number(one[name]) for name in heads[3:]]
        line = f"{key:{width}}" + "".join(f"{cell:>11}" for cell in cells)
        if "nodata_gained" in one:
            line += f"  {one['nodata_gained']}/{one['nodata_lost']}"
        yield line


def _codes(key: str, one: Mapping[str, Any]) -> Iterator[str]:
    changed = sum(pair["pixels"] for pair in one["transitions"])
    yield f"{key}: {changed} of {one['pixels']} pixels changed"
    for pair in one["transitions"][:SHOWN]:
        yield f"  {pair['pixels']:10}  {pair['from']} -> {pair['to']}"
    if len(one["transitions"]) > SHOWN:
        yield f"  and {len(one['transitions']) - SHOWN} kinds more"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {one}" for name, one in value.items())
    return "none" if value is None else str(value)

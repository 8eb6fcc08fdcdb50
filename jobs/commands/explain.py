"""``clearcube explain``: how one pixel of an item came about."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from jobs.commands.console import State, json_option, pass_state, say_json

WIDTH = 120
"""Columns of a line."""

BANDS = 6
"""Bands in one table of values: with the date they fill a line."""


@click.command("explain")
@click.argument("item")
@click.option("--at", required=True, metavar="LON,LAT", help="Place, in degrees.")
@json_option
@pass_state
def command(state: State, item: str, at: str, as_json: bool) -> int:
    """Tell how the pixel of ITEM (id, or COLLECTION/ID) at a place came about, date by date."""
    from jobs.explain import explain, parse_place

    place = parse_place(at)
    with state.open(create=False) as workspace:
        found = explain(workspace, item, place)
    if as_json:
        say_json(found)
        return 0
    for line in _TEXTS[found["kind"]](found):
        click.echo(line.rstrip())
    return 0


def _synthesis(found: Mapping[str, Any]) -> Iterator[str]:
    first, last = found["window"]
    mask = found["mask"]
    settings = "".join(f", {name} {value}" for name, value in mask["options"].items())
    yield f"{found['item']} at {_at(found)}"
    yield from _wrapped(
        f"{found['method']} of {found['period']}, dates from {first} to {last}; mask "
        f"{mask['encoding']}, {mask['reading']} reading, buffer {mask['buffer']:g} m{settings}"
    )
    for note in found["notes"]:
        yield from _wrapped(f"note: {note}")
    groups = found["groups"]
    yield ""
    if groups:
        yield from _scenes(groups[0]["dates"])
    for group in groups:
        yield ""
        yield from _group(group)
    yield ""
    yield _AGREES[found["agrees"]]


_AGREES = {
    True: "The item holds what follows from its dates.",
    False: "The item does not hold what follows from its dates: see DIFFER above.",
    None: "Not everything could be compared with the item.",
}


def _scenes(dates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for number, one in enumerate(dates, 1):
        for index, scene in enumerate(one["scenes"]):
            lead = f"{number:3}  {one['date']}" if index == 0 else " " * 15
            note = f"  ({one['note']})" if one["note"] and index == 0 else ""
            yield from _wrapped(f"{lead}  {scene}{note}", 17)
        if one["granule"]:
            yield f"{'':17}pixels are of {one['granule']}"


def _group(group: Mapping[str, Any]) -> Iterator[str]:
    dates = group["dates"]
    factors = list(dict.fromkeys(name for one in dates for name in one["factors"]))
    weighed = any(one["weight"] is not None for one in dates)
    yield _where(group)
    titles = ["", "date", "class", "mask", *(f"{name} w." for name in factors)]
    titles += ["weight"] if weighed else []
    rows = [
        [
            str(number),
            one["date"],
            one["mask"]["class"] if one["mask"] else "-",
            _raw(one["mask"]),
            *(_number(one["factors"].get(name)) for name in factors),
            *([_number(one["weight"])] if weighed else []),
            f"{_KEPT[one['kept']]}{one['reason']}",
        ]
        for number, one in enumerate(dates, 1)
    ]
    yield from _table([*titles, "used?"], rows)
    yield from _values(dates)
    if any(one["corrected"] for one in dates):
        yield "    seen from nadir, where that was corrected:"
        yield from _values(dates, "corrected")
    yield from _meanings(dates)
    for result in group["results"]:
        yield from _wrapped(_result(result, dates), 4)


_KEPT = {True: "yes: ", False: "no: ", None: ""}


def _values(dates: Sequence[Mapping[str, Any]], key: str = "values") -> Iterator[str]:
    """Number and reflectance of each band on the dates that have any."""
    names = list(dict.fromkeys(name for one in dates for name in one[key]))
    for start in range(0, len(names), BANDS):
        part = names[start : start + BANDS]
        rows = [
            [str(number), one["date"], *(_value(one[key].get(name)) for name in part)]
            for number, one in enumerate(dates, 1)
            if key == "values" or one[key]
        ]
        yield from _table(["", "date", *part], rows)


def _value(value: Mapping[str, Any] | None) -> str:
    return "nodata" if value is None else f"{value['dn']} {value['reflectance']:.4f}"


def _raw(mask: Mapping[str, Any] | None) -> str:
    """Stored values of a mask, those of finer pixels together where they differ."""
    if mask is None:
        return "-"
    return " ".join(
        f"{key} {','.join(map(str, values if len(set(values)) > 1 else values[:1]))}"
        for key, values in mask["values"].items()
    )


def _meanings(dates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What each stored value says, once."""
    seen: dict[str, list[str]] = {}
    for one in dates:
        if one["mask"]:
            seen |= one["mask"]["meaning"]
    for name, lines in sorted(seen.items(), key=lambda pair: _by_value(pair[0])):
        yield from _wrapped(f"  {name} = {_said(name, lines)}", 4)


def _by_value(name: str) -> tuple[str, float]:
    raster, _, value = name.rpartition(" ")
    return raster, float(value)


def _said(name: str, lines: Sequence[str]) -> str:
    """Lines of a value's meaning as one, without saying the value twice."""
    return "; ".join(lines).removeprefix(f"value {name.rpartition(' ')[2]}: ")


def _result(result: Mapping[str, Any], dates: Sequence[Mapping[str, Any]]) -> str:
    numbers: dict[str, list[str]] = {}
    for number, one in enumerate(dates, 1):
        if one["input"]:
            numbers.setdefault(one["date"], []).append(str(number))
    shown = _shown(result, result["value"])
    used = " ".join(
        f"#{number}" for day in dict.fromkeys(result["dates"]) for number in numbers[day]
    )
    text = f"  {result['asset']} {shown}: {result['formula']}" + (f" ({used})" if used else "")
    for day, why in result["dropped"].items():
        text += f"; {day}: {why}"
    if result["agrees"] is None:
        return f"{text}; {result.get('note', 'not compared')}"
    return text + ("; agrees" if result["agrees"] else f"; DIFFER: the item holds {result['item']}")


def _shown(result: Mapping[str, Any], value: float) -> str:
    if "reflectance" in result:
        known = result["reflectance"] is not None
        return f"{result['reflectance']:.4f} (dn {value})" if known else "nodata"
    return _number(value)


def _mask(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['item']} at {_at(found)}"
    yield _where(found)
    for scene in found["scenes"]:
        yield f"  scene {scene}"
    if found["note"]:
        yield f"  note: {found['note']}"
    mask = found["mask"]
    if mask:
        for name, lines in mask["meaning"].items():
            yield f"  {name}"
            for line in lines:
                yield from _wrapped(f"    {line}", 6)
        settings = "".join(f", {name} {value}" for name, value in found["options"].items())
        buffer = f"buffer {found['buffer']:g} m"
        if mask["class"] != mask["class_without_buffer"]:
            buffer += f", which made it of {mask['class_without_buffer']}"
        yield from _wrapped(f"  {found['reading']} reading, {buffer}{settings}: {mask['class']}")
    said = {True: "agrees", False: "DIFFERS", None: "could not be compared"}[found["agrees"]]
    yield f"  the item holds class {found['item_value']}: {said}"


def _cube(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['item']} ({found['level']} cube) at {_at(found)}"
    yield from _scenes([one | _PLAIN for one in found["groups"][0]["dates"]])
    for group in found["groups"]:
        yield ""
        yield _where(group)
        rows = [
            [
                str(number),
                one["date"],
                one["mask"]["class"] if one["mask"] else "-",
                _raw(one["mask"]),
            ]
            for number, one in enumerate(group["dates"], 1)
        ]
        yield from _table(["", "date", "class", "mask"], rows)
        yield from _values(group["dates"])
        yield from _meanings(group["dates"])


_PLAIN = {"note": "", "granule": None}


def _series(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['item']} at {_at(found)}"
    settings = ", ".join(f"{name} {value}" for name, value in found["parameters"].items())
    yield from _wrapped(f"{found['method']} of {len(found['dates'])} dates: {settings}")
    for name, said in found["about"].items():
        yield from _wrapped(f"  {name.removeprefix('clearcube:')}: {said}", 4)
    yield _where(found)
    rows = [
        [
            str(number),
            one["date"],
            "*" if set(one["scenes"]) & set(found["scenes"]) else "",
            one["mask"]["class"] if one["mask"] else "-",
        ]
        for number, one in enumerate(found["dates"], 1)
    ]
    yield from _table(["", "date", "", "class"], rows)
    yield from _values(found["dates"])
    for line in found["bits"]:
        yield from _wrapped(f"  bits: {line}", 8)
    for name in found["others"]:
        yield f"  follows or uses {name}"
    for scene in found["gone"]:
        yield f"  no longer in the cube: {scene}"
    said = {True: "agrees", False: "DIFFERS", None: "could not be compared"}[found["agrees"]]
    yield f"  the item (*) holds class {found['item_value']}: {said}"


def _other(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['item']} at {_at(found)}"
    if found["note"]:
        yield found["note"]
    for name, version in found["inputs"].items():
        yield from _wrapped(f"  input {name}  {version}", 4)
    width = max(len(key) for key in found["assets"])
    for key, asset in found["assets"].items():
        if asset["values"] is None:
            text = asset["note"] or "not here"
        else:
            text = " ".join(_number(value) for value in asset["values"])
            if asset["reflectance"] is not None:
                text += f"  reflectance {asset['reflectance']:.4f}"
            if asset["meaning"]:
                text += f"  {_said(f' {text}', asset['meaning'])}"
        yield from _wrapped(f"  {key:{width}}  {text}", width + 4)


_TEXTS = {
    "synthesis": _synthesis,
    "mask": _mask,
    "series": _series,
    "cube": _cube,
    "scene": _other,
    "other": _other,
}


def _at(found: Mapping[str, Any]) -> str:
    lon, lat = found["at"]
    return f"{lon:.10g},{lat:.10g}"


def _where(group: Mapping[str, Any]) -> str:
    row, column = group["pixel"]
    return f"{group['resolution']} m: row {row}, column {column} of {group['group']}"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns side by side; what does not fit into a line goes on below the last column."""
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles) - 1)]
    indent = min(sum(widths) + 2 * len(widths) + 2, WIDTH - 30)
    for row in [titles, *rows]:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        yield from _wrapped("  " + "  ".join([*cells, row[-1]]), indent)


def _wrapped(text: str, indent: int = 2) -> Iterator[str]:
    """One line, or several of at most ``WIDTH`` columns, those after the first indented."""
    if len(text) <= WIDTH:
        yield text
        return
    yield from textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=" " * indent,
        replace_whitespace=False,
        drop_whitespace=True,
        break_on_hyphens=False,
    )

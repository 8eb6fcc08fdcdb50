"""One self-contained HTML page about a run: pictures, curves, accuracy, what to do next.

Takes plain arrays and texts, so that it can be tested and used alone. Needs no network: images are
inside the page.
"""

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.figures import (
    CLASS_COLOURS,
    Curve,
    class_overlay,
    curves_figure,
    date_picture,
    difference_picture,
    status_picture,
    weight_picture,
)
from jobs.page_style import STYLE
from jobs.simulate.accuracy import CLASS_NAMES, MaskAccuracy, ReflectanceError

_LAND = 4
"""Status of land in a synthesis."""

_CLASS_TITLES = {
    "no_observation": "no observation",
    "cloud_shadow": "cloud shadow",
    "thin_cloud": "thin cloud",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """One number at the head of the page."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SceneView:
    """One date."""

    title: str
    """E.g. ``5 May 2020``."""
    detail: str
    """E.g. ``S2B · orbit 51 · baseline 02.14``."""
    rgb: NDArray[np.uint8]
    """(y, x, 3) uint8."""
    called: NDArray[np.uint8]
    """(y, x) uint8 classes as decoded."""
    truth: NDArray[np.uint8] | None = None
    """(y, x) uint8 true classes, where they are known."""
    note: str = ""
    """Why the date is special, e.g. ``superseded``."""


@dataclass(frozen=True, slots=True, eq=False)
class MonthView:
    """One synthesis."""

    title: str
    rgb: NDArray[np.uint8]
    """(y, x, 3) uint8."""
    weight: NDArray[np.float32]
    """(y, x) sums of weights."""
    days: NDArray[np.int16]
    """(y, x) mean date, days since 1970-01-01, -10000 for none."""
    status: NDArray[np.uint8]
    """(y, x) 0 nodata, 1 cloud or shadow, 2 snow, 3 water, 4 land."""
    truth: NDArray[np.uint8] | None = None
    """(y, x, 3) uint8 of the true ground, where it is known."""
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What the page shows; empty parts are left out."""

    title: str
    summary: str
    headlines: Sequence[Headline] = ()
    scenes: Sequence[SceneView] = ()
    months: Sequence[MonthView] = ()
    curves: Sequence[Curve] = ()
    masks: Mapping[str, MaskAccuracy] = field(default_factory=dict)
    """Accuracy by name of the mask, e.g. ``scl``."""
    reflectances: Mapping[str, Mapping[str, ReflectanceError]] = field(default_factory=dict)
    """Errors by month and band."""
    commands: Sequence[tuple[str, str]] = ()
    """What to try next: command and what it does."""
    notes: Sequence[str] = ()


def write_report(path: Path, report: Report) -> Path:
    """Report -> HTML file; returns its path."""
    sections = [
        _headlines(report.headlines),
        _next(report.commands),
        _months(report.months),
        _curves(report.curves),
        _scenes(report.scenes),
        _mask_tables(report.masks),
        _reflectance_table(report.reflectances),
        _notes(report.notes),
    ]
    title = html.escape(report.title)
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{title}</h1><p class="lead">{html.escape(report.summary)}</p></header>\n'
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def quicklook(
    red: NDArray[np.float32], green: NDArray[np.float32], blue: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """(y, x) float reflectances, NaN for none -> (y, x, 3) uint8; none is light grey."""
    stacked = np.dstack([red, green, blue])
    missing = np.isnan(stacked).any(axis=2)
    # a gamma of 0.75 up to a reflectance of 0.25 shows woods and fields alike
    stretched = np.clip(np.nan_to_num(stacked) / 0.25, 0, 1) ** 0.75
    picture: NDArray[np.uint8] = (stretched * 255).round().astype(np.uint8)
    picture[missing] = 226
    return picture


def _headlines(headlines: Sequence[Headline]) -> str:
    if not headlines:
        return ""
    cards = "".join(
        f'<div class="card"><div class="value">{html.escape(each.value)}</div>'
        f'<div class="label">{html.escape(each.label)}</div>'
        f'<div class="detail">{html.escape(each.detail)}</div></div>'
        for each in headlines
    )
    return f'<section class="cards">{cards}</section>'


def _next(commands: Sequence[tuple[str, str]]) -> str:
    if not commands:
        return ""
    rows = "".join(
        f"<li><code>{html.escape(command)}</code><span>{html.escape(why)}</span></li>"
        for command, why in commands
    )
    return _section("What to try next", "", f'<ul class="commands">{rows}</ul>')


def _months(months: Sequence[MonthView]) -> str:
    if not months:
        return ""
    known = any(month.truth is not None for month in months)
    heads = ["synthesis", *(["truth, 15th of the month"] if known else [])]
    heads += ["weight", "mean date", "status"]
    top = max(float(np.nanpercentile(month.weight, 99)) for month in months) or 1.0
    body = []
    for month in months:
        cells = [_image(month.rgb, f"synthesis {month.title}", photo=True)]
        if known:
            truth = month.truth
            cells.append("" if truth is None else _image(truth, "truth", photo=True))
        cells += [
            _image(weight_picture(month.weight, top), "weight"),
            _image(date_picture(month.days, month.status == _LAND), "mean date"),
            _image(status_picture(month.status), "status"),
        ]
        detail = html.escape(month.detail)
        first = f'<th><b>{html.escape(month.title)}</b><span class="detail">{detail}</span></th>'
        body.append(f"<tr>{first}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{text}</th>" for text in ("", *heads))
    legend = (
        '<p class="legend"><b>weight</b> <i class="ramp weight"></i> 0 to '
        f"{top:.1f} <b>mean date</b> <i class='ramp date'></i> earliest to latest over land "
        "<b>status</b> "
        + "".join(
            _key(name, colour)
            for name, colour in (
                ("no value", "#d9d9d9"),
                ("cloud or shadow", "#e4576b"),
                ("snow", "#8fdcf5"),
                ("water", "#2f80c3"),
                ("land", "#b9c98a"),
            )
        )
        + "</p>"
    )
    table = f'<table class="months"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    intro = "Every pixel is a weighted mean of the clear dates round the middle of the month."
    return _section("Monthly syntheses", intro, legend + table)


def _curves(curves: Sequence[Curve]) -> str:
    if not curves:
        return ""
    figure = base64.b64encode(curves_figure(curves)).decode()
    picture = f'<img class="wide" alt="NDVI through time" src="data:image/svg+xml;base64,{figure}">'
    intro = (
        "Mean NDVI of single fields: what grows there, what each date shows, what the masks let "
        "through, and what the monthly syntheses make of it."
    )
    return _section("NDVI through time", intro, picture)


def _scenes(scenes: Sequence[SceneView]) -> str:
    if not scenes:
        return ""
    cards = []
    for scene in scenes:
        note = f'<span class="note">{html.escape(scene.note)}</span>' if scene.note else ""
        pictures = [("as seen", _image(scene.rgb, "as seen", photo=True))]
        called = class_overlay(scene.rgb, scene.called)
        pictures.append(("mask", _image(called, "mask", photo=True)))
        if scene.truth is not None:
            true = class_overlay(scene.rgb, scene.truth)
            pictures.append(("truth", _image(true, "truth", photo=True)))
            wrong = difference_picture(scene.called, scene.truth)
            pictures.append(("errors", _image(wrong, "errors")))
        figures = "".join(
            f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
            for caption, picture in pictures
        )
        cards.append(
            f'<article class="scene"><h3>{html.escape(scene.title)}{note}</h3>'
            f'<p class="detail">{html.escape(scene.detail)}</p>'
            f'<div class="pictures">{figures}</div></article>'
        )
    keys = "".join(
        _key(_CLASS_TITLES.get(name, name), _hex(CLASS_COLOURS[code]))
        for code, name in enumerate(CLASS_NAMES)
        if code != 1
    )
    errors = (
        _key("hidden, called usable", "#d7263d")
        + _key("usable, called hidden", "#2a6fdb")
        + _key("another class, same use", "#e9c46a")
    )
    legend = (
        f'<p class="legend"><b>masks</b> {keys}</p><p class="legend"><b>errors</b> {errors}</p>'
    )
    return _section("Scenes and masks", "", legend + f'<div class="scenes">{"".join(cards)}</div>')


def _mask_tables(masks: Mapping[str, MaskAccuracy]) -> str:
    parts = []
    for name, accuracy in masks.items():
        rows = "".join(
            f"<tr><th>{_CLASS_TITLES.get(each.name, each.name)}</th>"
            f"<td>{each.true:,}</td><td>{each.called:,}</td>"
            f"{_percent_cell(each.producer)}{_percent_cell(each.user)}</tr>"
            for each in accuracy.classes
        )
        figures = (
            f"{_percent(accuracy.overall)} of the pixels have the right class "
            f"({_percent(accuracy.balanced)} with all classes counted alike); whether the ground is "
            f"seen is right for {_percent(accuracy.usable)}: {_percent(accuracy.missed)} of the "
            f"hidden pixels are missed, {_percent(accuracy.lost)} of the seen ones are lost."
        )
        parts.append(
            f"<h3>{html.escape(name)}</h3><p>{figures}</p><table class='figures'><thead><tr>"
            "<th>class</th><th>true pixels</th><th>called so</th><th>found (producer's)</th>"
            f"<th>right (user's)</th></tr></thead><tbody>{rows}</tbody></table>"
            + _confusion(accuracy)
        )
    return _section("Accuracy of the masks", "", "".join(parts)) if parts else ""


def _confusion(accuracy: MaskAccuracy) -> str:
    """Table of the truth (rows) against the mask (columns), each row in percent."""
    counts = accuracy.confusion
    codes = [code for code in range(1, 7) if counts[code].any() or counts[:, code].any()]
    head = "".join(
        f"<th>{_CLASS_TITLES.get(CLASS_NAMES[code], CLASS_NAMES[code])}</th>" for code in codes
    )
    rows = []
    for code in codes:
        total = counts[code].sum()
        shares = [counts[code, other] / total if total else float("nan") for other in codes]
        cells = "".join(_percent_cell(float(share), zero="·") for share in shares)
        name = _CLASS_TITLES.get(CLASS_NAMES[code], CLASS_NAMES[code])
        rows.append(f"<tr><th>{name}</th>{cells}</tr>")
    return (
        "<table class='figures'><caption>truth (rows) against mask (columns)</caption>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _reflectance_table(reflectances: Mapping[str, Mapping[str, ReflectanceError]]) -> str:
    if not reflectances:
        return ""
    months = list(reflectances)
    bands = list(dict.fromkeys(band for month in months for band in reflectances[month]))
    head = "".join(f"<th colspan='2'>{html.escape(month)}</th>" for month in months)
    second = "<th>RMSE</th><th>bias</th>" * len(months)
    rows = []
    for band in bands:
        cells = []
        for month in months:
            error = reflectances[month].get(band)
            cells.append(
                "<td></td><td></td>"
                if error is None
                else f"<td>{error.rmse:.4f}</td><td>{error.bias:+.4f}</td>"
            )
        rows.append(f"<tr><th>{html.escape(band)}</th>{''.join(cells)}</tr>")
    gaps = "".join(
        f"<td colspan='2'>{_percent(max(each.gap for each in reflectances[month].values()))}</td>"
        for month in months
    )
    rows.append(f"<tr class='total'><th>without a value</th>{gaps}</tr>")
    table = (
        f"<table class='figures'><thead><tr><th></th>{head}</tr><tr><th>band</th>{second}</tr>"
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )
    intro = (
        "Reflectance of the syntheses less the true reflectance on the 15th, over land. Crops grow "
        "within the window of a month, so part of the difference is real change."
    )
    return _section("Accuracy of the syntheses", intro, table)


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return _section("About this page", "", f"<ul>{items}</ul>") if items else ""


def _section(title: str, intro: str, body: str) -> str:
    lead = f"<p>{html.escape(intro)}</p>" if intro else ""
    return f"<section><h2>{html.escape(title)}</h2>{lead}{body}</section>"


def _image(picture: NDArray[np.uint8], text: str, *, photo: bool = False) -> str:
    """(y, x, 3) uint8 -> an ``img`` with the picture inside, at most 260 pixels wide."""
    from matplotlib.image import imsave

    step = max(1, -(-max(picture.shape[:2]) // 260))
    kind = "jpeg" if photo else "png"
    options = {"quality": 84} if photo else {"optimize": True}
    buffer = io.BytesIO()
    reduced = np.ascontiguousarray(picture[::step, ::step])
    imsave(buffer, reduced, format=kind, pil_kwargs=options)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{encoded}">'


def _key(name: str, colour: str) -> str:
    return f'<span class="key"><i style="background:{colour}"></i>{html.escape(name)}</span>'


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.1f} %"


def _percent_cell(share: float, zero: str = "") -> str:
    """A cell whose shade grows with the share."""
    if math.isnan(share):
        return "<td></td>"
    text = zero if zero and share < 0.0005 else f"{100 * share:.1f}"
    return f'<td style="background:rgba(46,125,90,{0.32 * share:.2f})">{text}</td>'

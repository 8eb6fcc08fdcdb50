"""``clearcube runs``: what was run in a workspace, and what came of it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from jobs.commands.console import State, json_option, one_line, pass_state, say_json

if TYPE_CHECKING:
    from jobs.runs import RunRecord, StageRecord


@click.command("runs")
@click.argument("run", metavar="[ID]", required=False)
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most runs."
)
@json_option
@pass_state
def command(state: State, /, run: str | None, limit: int, as_json: bool) -> int:
    """Runs of the workspace, newest first; with the id of one (or its beginning) all about it."""
    from jobs.runs import find_run, list_runs

    with state.open(create=False) as workspace:
        if run is not None:
            record = find_run(workspace, run)
            if as_json:
                say_json(record.document())
            else:
                click.echo("\n".join(_about(record)))
            return 0
        records = list_runs(workspace, limit)
    if as_json:
        say_json([record.document() for record in records])
        return 0
    if not records:
        click.echo("nothing was run here yet", err=True)
        return 0
    for line in _table(_rows(records)):
        click.echo(line)
    return 0


def _rows(records: "Sequence[RunRecord]") -> list[list[str]]:
    head = ["run", "state", "units", "failed", "time", "data", "request"]
    return [head, *map(_row, records)]


def _row(record: "RunRecord") -> list[str]:
    return [
        record.id,
        str(record.state),
        f"{record.done}/{record.planned}",
        str(record.failed),
        _seconds(record.seconds),
        _size(record.bytes),
        _request(record.request),
    ]


def _about(record: "RunRecord") -> Iterator[str]:
    yield f"{record.id}: {record.state}"
    yield f"  {record.job} {_request(record.request)}".rstrip() + f", clearcube {record.version}"
    start = record.start.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
    yield f"  {start}, {_seconds(record.seconds)}, {len(record.made)} made"
    if record.cause:
        yield f"  stopped: {one_line(record.cause)}"
    if record.stages:
        yield ""
        yield from _table([_HEAD, *map(_stage, record.stages)])
    if record.failures:
        yield ""
    for failure in record.failures:
        yield f"failed: {one_line(str(failure))}"


_HEAD = ["stage", "units", "failed", "again", "time", "work", "cpu", "read", "written", "peak"]


def _stage(stage: "StageRecord") -> list[str]:
    return [
        stage.name,
        f"{stage.done}/{stage.planned}",
        str(stage.failed),
        str(stage.tries),
        _seconds(stage.ended - stage.begun),
        _seconds(stage.work),
        _seconds(stage.cpu),
        _size(stage.read),
        _size(stage.written),
        _size(stage.peak),
    ]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of texts -> lines with columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _request(request: Any) -> str:
    """What was asked for, without what is empty."""
    said = {
        name: value for name, value in request.items() if value not in (None, "", [], {}, False)
    }
    return one_line(" ".join(f"{name}={value}" for name, value in said.items()))


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _size(size: float) -> str:
    """Bytes in a unit that keeps the number short: 0 B, 1.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

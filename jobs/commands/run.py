"""``clearcube run JOB``: a subcommand per job, made from its parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from catalog.errors import CatalogError
from cube.errors import CubeError
from jobs.commands.console import State, exit_status, say_json
from jobs.errors import JobError, RequestError

if TYPE_CHECKING:
    from jobs.job import Job, Outcome


class _Jobs(click.Group):
    """``run JOB``: the jobs there are, each with options made from its parameters."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from jobs.registry import job_names

        return job_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from jobs.registry import find_job

        return _command(find_job(cmd_name))


@click.command("run", cls=_Jobs)
def command() -> None:
    """Make what a job's request asks for and is not there yet."""


def _command(job: "Job") -> click.Command:
    options: list[click.Parameter] = [
        _option(name, field) for name, field in job.params.model_fields.items() if name not in _OWN
    ]
    options += [
        click.Option(["--tile", "tiles"], multiple=True, help="MGRS tile; may be repeated."),
        click.Option(["--bbox"], help="West,south,east,north: the tiles catalogued there."),
        click.Option(["--aoi"], help="GeoJSON file or WKT: the tiles catalogued there."),
        click.Option(
            ["--set", "settings"],
            multiple=True,
            metavar="NAME=VALUE",
            help="A parameter, see below.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
    ]
    return click.Command(
        job.name,
        params=options,
        callback=_runner(job),
        help=f"{job.title}.",
        epilog=_settings_help(job),
        short_help=job.title,
    )


_OWN = ("tile", "options", "mask_options")
"""Parameters that the command line fills from --tile and --set."""


def _option(name: str, field: Any) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    text = field.description or ""
    if field.annotation is bool:
        return click.Option([flag, name], is_flag=True, help=text)
    default = field.get_default()
    shown = "" if default is None or field.is_required() else f" [default: {default}]"
    return click.Option([flag, name], help=f"{text}{shown}", required=field.is_required())


def _runner(job: "Job") -> Callable[..., int]:
    @click.pass_obj
    def command(
        state: State,
        /,
        tiles: tuple[str, ...],
        bbox: str | None,
        aoi: str | None,
        settings: tuple[str, ...],
        as_json: bool,
        **options: Any,
    ) -> int:
        from jobs.areas import find_tiles
        from jobs.job import Failure, Outcome
        from jobs.runner.progress import Progress
        from jobs.runner.run import run

        request = {k: v for k, v in options.items() if v is not None and v is not False}
        request |= _parsed_settings(job, request, settings)
        total = Outcome()
        with state.open(create=False) as workspace:
            found = find_tiles(workspace, tiles, bbox, aoi)
            for tile in found:
                wanted = {**request, "tile": tile}
                try:
                    total.add(run(workspace, job.name, wanted, progress=Progress()))
                except (CubeError, CatalogError, JobError) as error:
                    if len(found) == 1:
                        raise
                    total.failures.append(Failure(tile, str(error)))
        _report(job, total, as_json)
        return exit_status(total)

    return command


def _parsed_settings(
    job: "Job", request: Mapping[str, Any], settings: Sequence[str]
) -> dict[str, Any]:
    """``--set`` texts -> fields of the job, options of its method, options of its mask."""
    found: dict[str, Any] = {}
    fields = job.params.model_fields
    for text in settings:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise RequestError(f"--set {text!r}: write NAME=VALUE")
        owner, _, inner = name.rpartition(".")
        own = str(request.get("method") or request.get("encoding") or fields_default(job))
        if owner and owner != own:
            if "mask_options" not in fields:
                raise RequestError(f"--set {text!r}: {job.name} uses nothing called {owner!r}")
            mask = str(request.get("mask") or "").partition(":")[0]
            if mask and owner != mask:
                raise RequestError(f"--set {text!r}: the mask is {mask!r}, the method {own!r}")
            _require_encoding(owner, text)
            found.setdefault("mask_options", {})[inner] = value
        elif not owner and name in fields and name not in _OWN:
            found[name] = value
        elif "options" in fields:
            found.setdefault("options", {})[inner] = value
        else:
            known = " ".join(n for n in fields if n not in _OWN)
            raise RequestError(
                f"--set {text!r}: {job.name} has no parameter {name!r}; it has {known}"
            )
    return found


def _require_encoding(name: str, text: str) -> None:
    from cube.masks import encodings

    if name not in {encoding.name for encoding in encodings()}:
        raise RequestError(f"--set {text!r}: no method or mask is called {name!r}")


def fields_default(job: "Job") -> str:
    """Name of the method or encoding that a job takes where none is said."""
    for name in ("method", "encoding"):
        if name in job.params.model_fields:
            return str(job.params.model_fields[name].get_default())
    return job.name


def _settings_help(job: "Job") -> str:
    """What --set takes: the fields of the job, of its methods, of the encodings that cubes hold."""
    fields = job.params.model_fields
    lines = ["\b", "Parameters for --set:"]
    lines += [_setting(name, field) for name, field in fields.items() if name not in _OWN]
    if "method" in fields:
        from cube.synthesis import methods

        for method in methods():
            if method.params.model_fields:
                lines += ["", "\b", f"Method {method.name} ({method.title}):"]
                lines += [_setting(*each) for each in method.params.model_fields.items()]
    if "encoding" in fields:
        from cube.masks import encodings
        from jobs.decode_masks import is_held

        for encoding in encodings():
            if encoding.options and is_held(encoding.reads[0]):
                lines += ["", "\b", f"Encoding {encoding.name}:"]
                lines += [f"  {o.name}={o.default}: {o.description}" for o in encoding.options]
    return "\n".join(lines)


def _setting(name: str, field: Any) -> str:
    """A declared parameter with its default, unit and source."""
    default = None if field.is_required() else field.get_default()
    about = field.json_schema_extra or {}
    unit = "" if about.get("unit", "1") == "1" else f", {about['unit']}"
    source = f" ({about['source']})" if "source" in about else ""
    return f"  {name}{'' if default is None else f'={default}'}{unit}: {field.description}{source}"


def _report(job: "Job", outcome: "Outcome", as_json: bool) -> None:
    if as_json:
        say_json(outcome.document())
        return
    if outcome.prepared:
        click.echo(f"{len(outcome.prepared)} dates and masks brought up to date first", err=True)
    for made in outcome.made:
        click.echo(made)
    if not outcome.made and not outcome.failures:
        click.echo(f"nothing to make: {len(outcome.current)} current")

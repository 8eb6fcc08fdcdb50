"""The command ``clearcube``: a subcommand per job, made from its parameters, imported on demand."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catalog.errors import CatalogError
from cube.errors import CubeError
from jobs.errors import JobError, RequestError

if TYPE_CHECKING:
    from jobs.job import Job, Outcome
    from jobs.workspace import Workspace

USABLE = 2
"""Exit status of wrong use or unusable input."""


class _State:
    """Options of the whole command, and the workspace once something asks for it."""

    def __init__(self, workspace: Path | None, verbose: bool) -> None:
        self.path, self.verbose = workspace, verbose

    def open(self, *, create: bool = True) -> "Workspace":
        from jobs.settings import read_settings
        from jobs.workspace import Workspace

        return Workspace(read_settings(workspace=self.path), create=create)


pass_state = click.make_pass_decorator(_State)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def main() -> None:
    """Run the command; errors are one line on stderr and exit status 2."""
    try:
        status = cli(prog_name="clearcube", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped; what was finished is kept, run the same again to go on", err=True)
        status = 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = USABLE
    except click.ClickException as error:
        status = _refuse(_usage(error))
    except (CubeError, CatalogError, JobError) as error:
        status = _refuse(str(error))
    except BrokenPipeError:
        sys.stderr.close()
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="clearcube")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the workspace [env CLEARCUBE_WORKSPACE; default ./workspace].",
)
@click.option("--verbose", is_flag=True, help="Say more on stderr.")
@click.pass_context
def cli(context: click.Context, workspace: Path | None, verbose: bool) -> None:
    """Sentinel-2 scenes into time cubes, cloud masks and monthly syntheses, all STAC items."""
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for package in ("cube", "catalog", "jobs"):
        logging.getLogger(package).setLevel(level)
    for package in ("odc", "rasterio", "urllib3"):
        # What they warn of is either tried again or said by the error that follows.
        logging.getLogger(package).setLevel(logging.ERROR)
    context.obj = _State(workspace, verbose)


@cli.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--collection", "collections", multiple=True, help="Collections of a STAC API.")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile, e.g. 31UES.")
@click.option("--bbox", help="West,south,east,north in degrees.")
@click.option("--datetime", help="STAC datetime, e.g. 2018-08/2019-11.")
@click.option("--max-cloud", type=float, help="Highest cloud cover, percent.")
@json_option
@pass_state
def ingest(state: _State, /, sources: tuple[str, ...], as_json: bool, **conditions: Any) -> int:
    """Index SAFE or MUSCATE products (folder or zip), STAC files, or a STAC API.

    Pixels stay where they are. What cannot be used is named, the rest goes in.
    """
    from jobs.ingest import ingest as ingest_sources
    from jobs.runner.progress import Progress

    conditions["tile"] = conditions.pop("tiles")
    with state.open() as workspace:
        outcome = ingest_sources(workspace, sources, progress=Progress(), **_given(conditions))
    if as_json:
        click.echo(json.dumps(outcome.document(), indent=2))
    elif outcome.status != USABLE:
        click.echo(f"{len(outcome.made)} items indexed, {len(outcome.current)} were current")
    return _status(outcome)


@cli.command()
@click.option("--collection", "collections", multiple=True, help="Collection; may be repeated.")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile, e.g. 31UES.")
@click.option("--bbox", help="West,south,east,north in degrees.")
@click.option("--datetime", help="STAC datetime, e.g. 2019-05.")
@click.option("--ids", multiple=True, help="Item id; may be repeated.")
@click.option("--max-cloud", type=float, help="Highest cloud cover, percent.")
@click.option("--limit", type=int, default=100, show_default=True, help="Most items.")
@json_option
@pass_state
def search(state: _State, /, as_json: bool, **conditions: Any) -> int:
    """Find items of the catalogue, latest first."""
    from catalog.search import parse_query

    conditions["tile"] = conditions.pop("tiles")
    query = parse_query(**_given(conditions))
    with state.open(create=False) as workspace:
        page = workspace.catalog.search(query)
    if as_json:
        document: dict[str, Any] = {"type": "FeatureCollection", "features": page.items}
        if page.matched is not None:
            document["numberMatched"] = page.matched
        click.echo(json.dumps(document, indent=2))
        return 0
    if not page.items:
        click.echo("no item of the catalogue answers the search", err=True)
    for item in page.items:
        click.echo(_line(item))
    if page.next_token is not None:
        click.echo(f"the first {len(page.items)} of {page.matched}; --limit shows more", err=True)
    return 0


@cli.command("explain-mask")
@click.argument("encoding")
@click.argument("value")
@json_option
def explain_mask(encoding: str, value: str, as_json: bool) -> int:
    """Say what a mask value means, e.g. `clm 33`; works anywhere."""
    from cube.masks import explain

    found = explain(encoding, value)
    if as_json:
        fields = (
            "encoding",
            "title",
            "value",
            "lines",
            "class_code",
            "class_name",
            "contradictions",
        )
        click.echo(json.dumps({name: getattr(found, name) for name in fields}, indent=2))
        return 0
    click.echo(f"{found.encoding} {found.value} ({found.title}): {found.class_name}")
    for line in found.lines:
        click.echo(f"  {line}")
    for sentence in found.contradictions:
        click.echo(f"  contradiction: {sentence}")
    return 0


@cli.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Directory of products, workspace and report.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulation.")
@json_option
def demo(output: Path, seed: int, as_json: bool) -> int:
    """Run the whole main job on simulated products whose truth is known."""
    from jobs.demo import run_demo
    from jobs.runner.progress import Progress

    found = run_demo(output, seed=seed, progress=Progress())
    click.echo(json.dumps(found.document(), indent=2) if as_json else found.text())
    return 0


# --- jobs -----------------------------------------------------------------------------------------


class _Jobs(click.Group):
    """``run JOB``: the jobs there are, each with options made from its parameters."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from jobs.registry import job_names

        return job_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from jobs.registry import find_job

        return _command(find_job(cmd_name))


@cli.command("run", cls=_Jobs)
def run_group() -> None:
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
        state: _State,
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
        return _status(total)

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


# --- what is said ---------------------------------------------------------------------------------


def _report(job: "Job", outcome: "Outcome", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.document(), indent=2))
        return
    if outcome.prepared:
        click.echo(f"{len(outcome.prepared)} dates and masks brought up to date first", err=True)
    for made in outcome.made:
        click.echo(made)
    if not outcome.made and not outcome.failures:
        click.echo(f"nothing to make: {len(outcome.current)} current")


def _status(outcome: "Outcome") -> int:
    """Say why what failed did: a line each, or one line where nothing else came of it."""
    if outcome.status == USABLE:
        click.echo(f"clearcube: {_one_line(outcome.causes)}", err=True)
        return USABLE
    for failure in outcome.failures:
        click.echo(f"failed: {_one_line(str(failure))}", err=True)
    return outcome.status


def _refuse(text: str) -> int:
    """Say why nothing was done: one line, and a document where one was asked for."""
    click.echo(f"clearcube: {_one_line(text)}", err=True)
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": _one_line(text)}, indent=2))
    return USABLE


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = "" if context is None else f"; see {context.command_path} --help"
    return error.format_message().rstrip(".") + hint


def _line(item: Mapping[str, Any]) -> str:
    properties = item["properties"]
    when = (
        properties.get("datetime") or f"{properties['start_datetime']}/{properties['end_datetime']}"
    )
    cloud = properties.get("eo:cloud_cover")
    shown = "" if cloud is None else f"  cloud {cloud:.0f} %"
    if properties.get("clearcube:superseded_by"):
        shown += f"  superseded by {properties['clearcube:superseded_by']}"
    return f"{item['collection']}  {item['id']}  {when}{shown}"


def _given(conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in conditions.items() if value not in (None, ())}


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()

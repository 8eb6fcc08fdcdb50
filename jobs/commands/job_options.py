"""What every command about a job takes: a subcommand per job, its options made from its parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jobs.commands.console import State, json_option
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asked of a job."""

    job: "Job"
    request: Mapping[str, Any]
    tiles: tuple[str, ...]
    bbox: str | None
    aoi: str | None
    as_json: bool
    options: Mapping[str, Any]
    """Values of the command's own options."""

    def requests(self, workspace: "Workspace") -> list[dict[str, Any]]:
        """One request for each tile that is meant."""
        from jobs.areas import find_tiles

        found = find_tiles(workspace, self.tiles, self.bbox, self.aoi)
        return [{**self.request, "tile": tile} for tile in found]


class JobGroup(click.Group):
    """A command whose subcommands are the jobs there are.

    ``options`` are the command's own; ``carry_out`` does what it is about.
    """

    carry_out: Callable[[State, Asked], int]
    options: Sequence[click.Option] = ()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the jobs, then of the commands added by hand."""
        from jobs.registry import job_names

        return [*job_names(), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of a job."""
        from jobs.registry import find_job

        added = super().get_command(ctx, cmd_name)
        return added or self._job_command(find_job(cmd_name))

    def _job_command(self, job: "Job") -> click.Command:
        fields = job.params.model_fields
        options: list[click.Parameter] = [
            _option(name, field) for name, field in fields.items() if name not in _OWN
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
            *self.options,
        ]
        made = click.Command(
            job.name,
            params=options,
            callback=self._callback(job),
            help=f"{job.title}.",
            epilog=_settings_help(job),
            short_help=job.title,
        )
        return json_option(made)

    def _callback(self, job: "Job") -> Callable[..., int]:
        names = {option.name for option in self.options}

        @click.pass_obj
        def call(
            state: State,
            /,
            tiles: tuple[str, ...],
            bbox: str | None,
            aoi: str | None,
            settings: tuple[str, ...],
            as_json: bool,
            **options: Any,
        ) -> int:
            own = {name: options.pop(name) for name in list(options) if name in names}
            request = {k: v for k, v in options.items() if v is not None and v is not False}
            request |= _parsed_settings(job, request, settings)
            return self.carry_out(state, Asked(job, request, tiles, bbox, aoi, as_json, own))

        return call


_OWN = ("tile", "options", "mask_options", "only", "lost")
"""Parameters that the command line fills from --tile and --set, and those of the runner."""


def _option(name: str, field: Any) -> click.Option:
    flag = f"--{name.replace('_', '-')}"
    text = field.description or ""
    if field.annotation is bool:
        return click.Option([flag, name], is_flag=True, help=text)
    default = field.get_default()
    shown = "" if default is None or field.is_required() else f" [default: {default}]"
    return click.Option([flag, name], help=f"{text}{shown}", required=field.is_required())


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
    for name, title, params in job.methods():
        if params.model_fields:
            lines += ["", "\b", f"Method {name} ({title}):"]
            lines += [_setting(*each) for each in params.model_fields.items()]
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

"""The command ``clearcube``: its own options, its commands by name, and how it ends."""

import logging
import sys
from importlib import import_module
from pathlib import Path

import click

from catalog.errors import CatalogError
from cube.errors import CubeError
from jobs.commands.console import USABLE, State, one_line, say_json
from jobs.errors import JobError

COMMANDS = {
    "ingest": "ingest",
    "search": "search",
    "plan": "plan",
    "run": "run",
    "status": "status",
    "schedule": "schedule",
    "runs": "runs",
    "lineage": "lineage",
    "reject": "reject",
    "reproduce": "reproduce",
    "explain": "explain",
    "audit": "audit",
    "diff": "diff",
    "validate": "validate",
    "export": "export",
    "explain-mask": "explain_mask",
    "verify": "verify",
    "gc": "gc",
    "serve": "serve",
    "demo": "demo",
}
"""Name -> module of ``jobs.commands``, in the order of the help; each holds a ``command``."""


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


class Commands(click.Group):
    """Commands that are imported when they are called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"jobs.commands.{COMMANDS[cmd_name]}").command
        return found


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
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
    context.obj = State(workspace, verbose)


def _refuse(text: str) -> int:
    """Say why nothing was done: one line, and a document where one was asked for."""
    click.echo(f"clearcube: {one_line(text)}", err=True)
    if "--json" in sys.argv:
        say_json({"error": one_line(text)})
    return USABLE


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = "" if context is None else f"; see {context.command_path} --help"
    return error.format_message().rstrip(".") + hint


if __name__ == "__main__":
    main()

"""``clearcube serve``: the workspace over HTTP."""

import click

from jobs.commands.console import State, pass_state


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free."
)
@pass_state
def command(state: State, /, host: str, port: int) -> int:
    """Serve the workspace: STAC API at /, viewer at /viewer, /tiles, /assets, /jobs, /docs, /healthz.

    Writes are refused unless CLEARCUBE_API_TOKEN is set, and given as Bearer by who writes.
    """
    from jobs.serving import serve

    with state.open(create=False) as workspace:
        workspace.require()
        serve(workspace, host, port, say=lambda line: click.echo(line, err=True))
    return 0

"""``clearcube run JOB``: make what a request asks for; ``run stale``: what is no longer true."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalog.errors import CatalogError
from cube.errors import CubeError
from jobs.commands.console import State, exit_status, json_option, pass_state, say_json
from jobs.commands.job_options import Asked, JobGroup
from jobs.errors import JobError

if TYPE_CHECKING:
    from jobs.job import Outcome


class _Run(JobGroup):
    options = (
        click.Option(
            ["--report"],
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write dask's performance report of the run, an HTML file.",
        ),
    )

    def carry_out(self, state: State, asked: Asked) -> int:
        """Run the job on every tile that is meant."""
        from jobs.job import Failure, Outcome
        from jobs.runner.progress import Progress
        from jobs.runner.run import Session

        total = Outcome()
        with state.open(create=False) as workspace:
            requests = asked.requests(workspace)
            with Session(workspace, Progress(), report=asked.options["report"]) as session:
                for request in requests:
                    try:
                        total.add(session.run(asked.job.name, request))
                    except (CubeError, CatalogError, JobError) as error:
                        if len(requests) == 1:
                            raise
                        total.failures.append(Failure(str(request["tile"]), str(error)))
        _report(total, asked.as_json)
        return exit_status(total)


@click.command("run", cls=_Run)
def command() -> None:
    """Make what a job's request asks for and is not there yet."""


@command.command("stale")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile; default all.")
@json_option
@pass_state
def stale(state: State, /, tiles: tuple[str, ...], as_json: bool) -> int:
    """Everything made before that is stale or missing now, from cubes to syntheses."""
    from catalog.search import normalise_tile
    from jobs.job import Outcome
    from jobs.runner.progress import Progress
    from jobs.upkeep import run_stale

    total, progress = Outcome(), Progress()
    with state.open(create=False) as workspace:
        for tile in tiles or (None,):
            named = None if tile is None else normalise_tile(tile)
            total.add(run_stale(workspace, named, progress))
    _report(total, as_json)
    for note in total.notes:
        if " was withdrawn: " in note and not as_json:
            click.echo(note, err=True)
    return exit_status(total)


def _report(outcome: "Outcome", as_json: bool) -> None:
    if as_json:
        say_json(outcome.document())
        return
    if outcome.prepared:
        click.echo(f"{len(outcome.prepared)} dates and masks brought up to date first", err=True)
    for made in outcome.made:
        click.echo(made)
    if not outcome.made and not outcome.failures:
        click.echo(f"nothing to make: {len(outcome.current)} current")

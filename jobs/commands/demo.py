"""``clearcube demo``: the whole main job on simulated products."""

from pathlib import Path

import click

from jobs.commands.console import json_option, say_json


@click.command("demo")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Directory of products, workspace and report.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulation.")
@json_option
def command(output: Path, seed: int, as_json: bool) -> int:
    """Run the whole main job on simulated products whose truth is known."""
    from jobs.demo import run_demo
    from jobs.runner.progress import Progress

    found = run_demo(output, seed=seed, progress=Progress())
    if as_json:
        say_json(found.document())
    else:
        click.echo(found.text())
    return 0

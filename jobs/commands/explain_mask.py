"""``clearcube explain-mask``: what a mask value means."""

import click

from jobs.commands.console import json_option, say_json


@click.command("explain-mask")
@click.argument("encoding")
@click.argument("value")
@json_option
def command(encoding: str, value: str, as_json: bool) -> int:
    """Say what a mask value means, bit by bit, such as `clm 33`."""
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
        say_json({name: getattr(found, name) for name in fields})
        return 0
    click.echo(f"{found.encoding} {found.value} ({found.title}): {found.class_name}")
    for line in found.lines:
        click.echo(f"  {line}")
    for sentence in found.contradictions:
        click.echo(f"  contradiction: {sentence}")
    return 0

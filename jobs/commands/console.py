"""What commands share: the workspace they open, what they say of an outcome, exit statuses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jobs.job import Outcome
    from jobs.workspace import Workspace

USABLE = 2
"""Exit status of wrong use or unusable input."""


class State:
    """Options of the whole command, and the workspace once something asks for it."""

    def __init__(self, workspace: Path | None, verbose: bool) -> None:
        self.path, self.verbose = workspace, verbose

    def open(self, *, create: bool = True) -> "Workspace":
        """Open the workspace; only what brings something in makes one that is not there."""
        from jobs.settings import read_settings
        from jobs.workspace import Workspace

        return Workspace(read_settings(workspace=self.path), create=create)


pass_state = click.make_pass_decorator(State)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def say_json(document: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(document, indent=2))


def exit_status(outcome: "Outcome") -> int:
    """Say why what failed did: a line each, or one line where nothing else came of it."""
    if outcome.status == USABLE:
        click.echo(f"clearcube: {one_line(outcome.causes)}", err=True)
        return USABLE
    for failure in outcome.failures:
        click.echo(f"failed: {one_line(str(failure))}", err=True)
    return outcome.status


def given(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given."""
    return {name: value for name, value in conditions.items() if value not in (None, ())}


def one_line(text: str) -> str:
    """A text without line breaks and double spaces."""
    return " ".join(text.split())

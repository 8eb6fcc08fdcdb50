# ruff: noqa: T201
"""Tables as the documents have them, printed."""

from collections.abc import Sequence


def title(text: str) -> None:
    print(f"\n**{text}**\n")


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(row)} |")

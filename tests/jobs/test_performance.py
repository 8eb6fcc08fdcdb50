"""Dask's report of a run, as a page."""

import re
from pathlib import Path

import pytest
from distributed import Client

from jobs.errors import WorkspaceError
from jobs.runner.cluster import performance

pytestmark = pytest.mark.cluster


def test_the_report_is_a_page_that_names_what_was_done(cluster_address, tmp_path: Path) -> None:
    with Client(cluster_address, set_as_default=False) as client:
        path = tmp_path / "report.html"
        with performance(client, path):
            client.submit(sum, [1, 2], key="cube 31TCJ-20200501").result()
        page = path.read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "cube 31TCJ" in page
    assert re.findall(r"<script[^>]+src=|<link[^>]+stylesheet", page) == []  # needs no network


def test_the_report_of_a_run_that_stopped_is_written_too(cluster_address, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with (
        Client(cluster_address, set_as_default=False) as client,
        pytest.raises(KeyboardInterrupt),
        performance(client, path),
    ):
        raise KeyboardInterrupt
    assert "</html>" in path.read_text("utf-8")


def test_a_report_that_cannot_be_written_is_refused_first(cluster_address, tmp_path: Path) -> None:
    path = tmp_path / "no" / "report.html"
    with (
        Client(cluster_address, set_as_default=False) as client,
        pytest.raises(WorkspaceError, match=r"cannot write .*report.html: No such file"),
        performance(client, path),
    ):
        raise ValueError("not reached")

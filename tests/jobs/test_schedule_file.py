"""Schedule files: what they come to, and what is refused, by table and key."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.errors import RequestError
from jobs.schedule_file import Ingest, Run, Schedule, read_schedule

NOW = datetime(2026, 7, 14, 12, tzinfo=UTC)
MOMENT = datetime(2026, 7, 3, 6, tzinfo=UTC)

FULL = """
timezone = "Europe/Paris"
workspace = "../here"

[[job]]
name = "nightly"
cron = "30 2 * * *"
catch-up = "none"
attempts = 5
[[job.steps]]
ingest = ["https://stac.example/v1", "products"]
collection = "sentinel-2-l2a"
tile = ["31TCJ", "T31UES"]
datetime = "{days:30}"
max-cloud = 90
[[job.steps]]
run = "stale"

[[job]]
name = "monthly"
cron = "0 6 3 * *"
catch-up = "all"
run = "synthesis"
tile = ["31TCJ", "31UES", "31TCJ"]
datetime = "{last-month}"
mask-options = { buffer = 100 }
"""


def read(folder: Path, text: str) -> Schedule:
    path = folder / "schedule.toml"
    path.write_text(text, encoding="utf-8")
    return read_schedule(path, NOW)


def job(text: str, head: str = "") -> str:
    return f'{head}\n[[job]]\nname = "a"\ncron = "0 6 3 * *"\n{text}\n'


def test_a_file_comes_to_jobs_of_steps(tmp_path: Path) -> None:
    schedule = read(tmp_path, FULL)
    assert schedule.zone.key == "Europe/Paris"
    assert schedule.workspace == tmp_path / "../here"
    nightly, monthly = schedule.jobs
    assert (nightly.name, nightly.catch_up, nightly.attempts) == ("nightly", "none", 5)
    ingest, stale = nightly.steps
    assert isinstance(ingest, Ingest)
    (part,) = ingest.parts(MOMENT)
    assert part.sources == ("https://stac.example/v1", str(tmp_path / "products"))
    assert part.values == {
        "collections": ["sentinel-2-l2a"],
        "tile": ["31TCJ", "T31UES"],
        "datetime": "2026-06-04/2026-07-03",
        "max_cloud": 90,
    }
    assert stale == Run("stale", {}, ())
    assert (monthly.catch_up, monthly.attempts) == ("all", 3)
    (synthesis,) = monthly.steps
    assert [(part.job, part.values) for part in synthesis.parts(MOMENT)] == [
        (
            "synthesis",
            {"datetime": "2026-06", "mask_options": {"buffer": 100}, "tile": tile},
        )
        for tile in ("31TCJ", "31UES")
    ]


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    schedule = read(tmp_path, job('run = "stale"'))
    assert schedule.zone.key == "UTC"
    assert schedule.workspace is None
    (only,) = schedule.jobs
    assert (only.catch_up, only.attempts, only.steps) == ("one", 3, (Run("stale", {}, ()),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "is no TOML"),
        ("", "there is no [[job]] in it"),
        ("job = 3", "job: write [[job]] above"),
        ("[job]\nname = 'a'", "job: write [[job]] above"),
        (job("run = 'stale'", "zone = 'UTC'"), "zone: there is no such key; there are timezone"),
        (job("run = 'stale'", "timezone = 'Mars'"), "timezone: no time zone is called 'Mars'"),
        (job("run = 'stale'", "timezone = 3"), "timezone: 3 is no text"),
        (job("run = 'stale'", "workspace = 3"), "workspace: 3 is no text"),
        ("[[job]]\nrun = 'stale'", "job 1: name: every job has one"),
        ("[[job]]\nname = 'a'\nrun = 'stale'", "job 'a': cron: it is missing"),
        ("[[job]]\nname = 'a'\ncron = '0 6 3 *'", "job 'a': cron: '0 6 3 *' has 4 fields"),
        (job("run = 'stale'") * 2, "job 'a': name: another job has it"),
        (job("catch-up = 'some'\nrun = 'stale'"), "job 'a': catch-up: 'some' is none of one all"),
        (job("attempts = 0\nrun = 'stale'"), "job 'a': attempts: 0 is no number from 1"),
        (job("attempts = true\nrun = 'stale'"), "job 'a': attempts: True is no number"),
        (job(""), "job 'a': write one of ingest"),
        (job("run = 'stale'\ningest = ['x']"), "job 'a': write one of ingest"),
        (job("run = 'synthesize'"), "job 'a': run: no job is called 'synthesize'; there are cube"),
        (job("run = 'stale'\nmethod = 'wasp'"), "job 'a': method: stale takes a tile"),
        (job("run = 'stale'\ntile = 'Paris'"), "job 'a': tile: 'Paris' is no MGRS tile"),
        (job("run = 'synthesis'\ntile = 31\n"), "job 'a': tile: 31 is neither a text nor"),
        (job("run = 'synthesis'\ntile = '31TCJ'"), "job 'a': synthesis: datetime is missing"),
        (
            job("run = 'synthesis'\ntile = '31TCJ'\ndatetime = '{last-mont}'"),
            "job 'a': datetime: {last-mont} is no relative date; there are {today}",
        ),
        (
            job("run = 'synthesis'\ntile = '31TCJ'\ndatetime = '2020'\nmetod = 'wasp'"),
            "job 'a': synthesis: there is no parameter 'metod'",
        ),
        (job("ingest = []"), "job 'a': ingest: [] is neither"),
        (job("ingest = ['x']\ntiles = '31TCJ'"), "job 'a': tiles: there is no such key"),
        (job("ingest = ['x']\ndatetime = '{days:9}/x'"), "job 'a': datetime '2026-07-06/2026"),
        (job("ingest = ['x']\ndatetime = 2020-05-01"), "job 'a': datetime: datetime.date"),
        (job("ingest = ['x']\nmax-cloud = 'few'"), "job 'a': max-cloud: 'few' is no perc"),
        (job("ingest = ['x']\nmax-cloud = 101"), "job 'a': max cloud 101 is no percentage"),
        (job("ingest = ['x']\nbbox = 3"), "job 'a': bbox: 3 is no west,south"),
        (job("steps = []"), "job 'a': steps: write a list of tables"),
        (job("steps = ['x']"), "job 'a': steps: write a list of tables"),
        (job("steps = [{run = 'stale'}]\ntile = '31TCJ'"), "job 'a': tile: it belongs into one"),
        (
            job("steps = [{run = 'stale'}, {run = 'stale', x = 1}]"),
            "job 'a': step 2: x: stale takes",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_table_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'schedule.toml'}")
    assert said in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot read .*none\.toml: No such file"):
        read_schedule(tmp_path / "none.toml", NOW)


def test_the_example_of_the_page_can_be_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "deploy" / "README.md"
    (example,) = [
        block.partition("\n```")[0]
        for block in page.read_text("utf-8").split("```toml\n")[1:]
        if "[[job]]" in block
    ]
    schedule = read(tmp_path, example)
    assert [each.name for each in schedule.jobs] == ["nightly", "monthly"]

"""What a user sees while units are worked on: lines, figures, a terminal left as it was."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from jobs.job import Failure
from jobs.runner import progress as module
from jobs.runner.measure import Measures
from jobs.runner.progress import Figures, Progress, duration


class Clock:
    """Time that goes by when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def plain() -> tuple[Progress, io.StringIO]:
    stream = io.StringIO()
    return Progress(console=Console(file=stream, soft_wrap=True, highlight=False)), stream


def moved(megabytes: int) -> Measures:
    return Measures(read=megabytes * 1_000_000)


def figures(clock: Clock, total: int) -> Figures:
    return Figures("cube 31TCJ", total, begun=clock.now)


def test_a_line_holds_the_figures_of_a_stage(clock) -> None:
    stage = figures(clock, 48)
    stage.look(2)
    for number in range(12):
        clock.now += 1.0
        stage(f"u{number}", Failure("u", "broken") if number == 3 else None, moved(100))
    assert stage.line() == ("cube 31TCJ: 12/48 in 12.0 s, 100 MB/s, 36 s left, 2 workers, 1 failed")
    stage.again(moved(0))
    stage.look(1)
    assert stage.line().endswith(", 36 s left, 1 worker, 1 tried again, 1 failed")


def test_the_rate_is_that_of_the_last_half_minute(clock) -> None:
    stage = figures(clock, 1000)
    for _ in range(60):
        clock.now += 1.0
        stage("u", None, moved(10))
    for _ in range(40):
        clock.now += 1.0
        stage("u", None, moved(200))
    assert round(stage.rate() / 1e6) == pytest.approx(200, abs=7)
    clock.now += 100.0
    assert stage.rate() == 0.0


def test_a_stage_that_ended_has_its_mean_rate_and_no_rest(clock) -> None:
    stage = figures(clock, 2)
    for _ in range(2):
        clock.now += 50.0
        stage("u", None, moved(500))
    assert stage.line() == "cube 31TCJ: 2/2 in 100.0 s, 10 MB/s"


def test_without_measures_there_is_no_rate(clock) -> None:
    stage = figures(clock, 2)
    clock.now += 1.0
    stage("a", None)
    assert stage.line() == "cube 31TCJ: 1/2 in 1.0 s, 1 s left"


def run_stages(show: Progress, clock: Clock, count: int, step: float, units: int = 2) -> None:
    for number in range(count):
        with show.stage(f"s{number}", units) as advance:
            for _ in range(units):
                clock.now += step
                advance("u", None)


def test_a_short_run_says_its_first_stage_and_the_others_at_its_end(clock) -> None:
    show, stream = plain()
    run_stages(show, clock, 3, 1.0)
    assert stream.getvalue() == "s0: 2/2 in 2.0 s\n"
    show.close()
    assert stream.getvalue().splitlines()[1:] == ["s1: 2/2 in 2.0 s; s2: 2/2 in 2.0 s"]
    show.close()
    assert len(stream.getvalue().splitlines()) == 2


def test_a_thousand_stages_say_one_line_in_ten_seconds(clock) -> None:
    show, stream = plain()
    begun = clock.now
    run_stages(show, clock, 1000, 0.05)
    show.close()
    lines = stream.getvalue().splitlines()
    assert clock.now - begun == pytest.approx(100.0)
    assert 10 <= len(lines) <= 12
    assert all(re.match(r"s\d+: \d+/\d+ in ", line) for line in lines)
    assert max(map(len, lines)) < 200


def test_a_long_stage_says_a_line_every_ten_seconds(clock) -> None:
    show, stream = plain()
    run_stages(show, clock, 1, 1.0, units=60)
    lines = stream.getvalue().splitlines()
    assert [line.partition(" in ")[0] for line in lines] == [
        "s0: 10/60", "s0: 20/60", "s0: 30/60", "s0: 40/60", "s0: 50/60", "s0: 60/60",
    ]  # fmt: skip


def test_a_stage_of_more_than_ten_seconds_always_says_its_end(clock) -> None:
    show, stream = plain()
    run_stages(show, clock, 2, 4.0, units=3)
    lines = stream.getvalue().splitlines()
    assert lines == ["s0: 3/3 in 12.0 s", "s1: 3/3 in 12.0 s"]


def test_while_nothing_ends_a_line_a_minute_is_said(clock) -> None:
    show, stream = plain()
    with show.stage("s", 2) as advance:
        for _ in range(200):
            clock.now += 1.0
            advance.look(2)
    lines = stream.getvalue().splitlines()
    assert [line.partition(",")[0] for line in lines[:-1]] == [
        "s: 0/2 in 10.0 s", "s: 0/2 in 70.0 s", "s: 0/2 in 130.0 s", "s: 0/2 in 190.0 s",
    ]  # fmt: skip


def test_quiet_is_quiet_and_a_stage_of_nothing_says_nothing(clock) -> None:
    show, stream = plain()
    with show.stage("s", 0) as advance:
        advance.look(1)
    show.close()
    assert stream.getvalue() == ""
    quiet = Progress(quiet=True, console=show.console)
    run_stages(quiet, clock, 3, 100.0)
    quiet.say("word")
    quiet.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99.0, "99 s"), (150, "2 min"), (5900, "98 min"), (12_000, "3 h 20 min")],
)
def test_durations_are_short(seconds, text) -> None:
    assert duration(seconds) == text


LIVE = """
import time
from jobs.runner.measure import Measures
from jobs.runner.progress import Progress
show = Progress()
for name in ("cube 31TCJ", "masks scl 31TCJ"):
    with show.stage(name, 4) as advance:
        for number in range({units}):
            advance.look(2)
            advance("u", None, Measures(read=50_000_000))
            time.sleep(0.15)
        while {units} < 4:
            time.sleep(0.1)
show.close()
"""


def in_terminal(units: int, *, interrupt: bool) -> str:
    """All that a terminal is sent by two stages, the first stopped by Ctrl-C or not."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE.replace("{units}", str(units))],
        stderr=follower, stdout=follower, stdin=follower, env=environment,
        # A shell that runs these tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(follower)
    said, begun, stopped = b"", time.monotonic(), False
    while time.monotonic() - begun < 30:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            said += part
        if interrupt and not stopped and b"2/4" in said:
            process.send_signal(signal.SIGINT)
            stopped = True
    process.wait(10)
    os.close(leader)
    return said.decode()


HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


def test_a_terminal_shows_stages_live_and_keeps_a_line() -> None:
    said = in_terminal(4, interrupt=False)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert "2 workers" in text
    assert "MB/s" in text
    assert re.search(r"[23]/4", text)
    assert re.search(r"cube 31TCJ: 4/4 in \d+\.\d s, \d+ MB/s, 2 workers", text)
    assert said.rfind(SHOWN) > said.rfind(HIDDEN) >= 0


def test_ctrl_c_leaves_the_terminal_sane() -> None:
    said = in_terminal(2, interrupt=True)
    assert "KeyboardInterrupt" in said
    assert said.rfind(SHOWN) > said.rfind(HIDDEN) >= 0

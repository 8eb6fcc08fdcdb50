"""Draw viewer-month.png and viewer-date.png: the viewer on the demonstration's workspace.

    python deploy/pictures/draw_viewer.py demo

Needs Chromium and Playwright, and what `make demo` makes.
"""

import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from cube.classes import STATUSES
from jobs.figures import CLASS_COLOURS
from jobs.service import create_service
from jobs.workspace import open_workspace

FOLDER = Path(__file__).parent
WHERE = "tile=31TCJ&z=13&lat=43.8105&lon=1.0803"
SHOWN = {
    "viewer-month": f"{WHERE}&show=ndvi&period=2020-06&compare=1&product2=wasp~scl"
    "&period2=2020-04&swipe=540&at=1.0610,43.8080",
    "viewer-date": f"{WHERE}&mode=dates&stamp=20200402T104029&over=scl strict&at=1.0930,43.8050",
}
SIZE = {"width": 1180, "height": 630}
COLOURS = 160
"""In a picture: a fifth of its bytes, at no cost that is seen."""

KEPT = [
    *("1d2a26", "56645f", "d6dfd9", "f6f8f6", "2e7d5a", "ffffff", "e9eeec", "4f9d5b", "5b5bd6"),
    *("f2a65a", "dcefe4", "a9bfb3", "c3cfc9", "000000"),
]
"""Colours of the page that a palette of the picture's most frequent ones would lose."""


def main() -> int:
    """Serve the demonstration, look at it, keep what was seen."""
    with open_workspace(Path(sys.argv[1]) / "workspace") as workspace, socket.socket() as listening:
        app = create_service(workspace)
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        try:
            _look(f"http://127.0.0.1:{listening.getsockname()[1]}/viewer")
        finally:
            server.should_exit = True
            thread.join()
    return 0


def _look(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, state in SHOWN.items():
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            page.goto(f"{address}#{state}")
            page.wait_for_selector("#chart .date")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(800)  # tiles fade in
            path = FOLDER / f"{name}.png"
            page.screenshot(path=path)
            page.close()
            _lighten(path)
        browser.close()


def _lighten(path: Path) -> None:
    picture = Image.open(path).convert("RGB")
    own = [tuple(bytes.fromhex(colour)) for colour in KEPT]
    own += [*CLASS_COLOURS, *(each.colour[:3] for each in STATUSES)]
    found = picture.quantize(COLOURS - len(own), kmeans=3).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for colour in own for part in colour), *found][: 3 * COLOURS])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())

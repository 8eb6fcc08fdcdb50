"""The viewer in a browser, against a running server."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jobs.service import create_service
from jobs.workspace import Workspace

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""A browser that speaks to the server alone, and may run as root."""

MIDDLE = "4.06056,50.74700"
"""A place in the northern half, which every date sees clear."""
SOUTH = "4.06056,50.74545"
"""One in the southern half, cloud on two dates."""


@pytest.fixture(scope="module")
def address(shown: Workspace) -> Iterator[str]:
    """The server, running on a port of its own."""
    app = create_service(shown)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


Opened = Callable[..., Page]


@pytest.fixture
def opened(address: str, browser: Browser) -> Iterator[Opened]:
    """The page with a state (what follows #), ready; it must have said nothing in the console."""
    said: list[str] = []
    with contextlib.ExitStack() as stack:

        def open_page(state: str = "", width: int = 1100, height: int = 700) -> Page:
            context = browser.new_context(viewport={"width": width, "height": height})
            stack.callback(context.close)
            page = context.new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: said.append(request.url) if away(request) else None)
            page.goto(f"{address}/viewer#{state}")
            page.wait_for_selector("body[data-ready]")
            return page

        def away(request: Any) -> bool:
            return not request.url.startswith((address, "data:"))

        yield open_page
    assert said == []


def tiles_of(page: Page, name: str) -> list[str]:
    """Addresses of the tiles on the map, once all are there, of a rendering."""
    page.wait_for_function(
        f"""() => {{ const all = [...document.querySelectorAll(".leaflet-tile")];
        return all.some(t => t.src.includes("/{name}/")) && all.every(t => t.complete); }}"""
    )
    found: list[str] = page.eval_on_selector_all(".leaflet-tile", "all => all.map(t => t.src)")
    return [each for each in found if f"/{name}/" in each]


def colour_at(page: Page, name: str) -> list[int]:
    """Red, green, blue, alpha in the middle of the first tile of a rendering that shows anything."""
    tiles_of(page, name)
    found: list[int] = page.evaluate(
        """name => { for (const t of document.querySelectorAll(".leaflet-tile")) {
        if (!t.src.includes(`/${name}/`)) continue;
        const c = document.createElement("canvas"); c.width = c.height = 256;
        const g = c.getContext("2d"); g.drawImage(t, 0, 0);
        const d = g.getImageData(0, 0, 256, 256).data;
        for (let i = 0; i < d.length; i += 4) if (d[i + 3]) return [...d.slice(i, i + 4)]; }
        return []; }""",
        name,
    )
    return found


def shown_id(page: Page) -> str:
    return page.locator("#shown-text .id").inner_text()


def test_the_page_shows_the_first_month(opened: Opened) -> None:
    page = opened()
    assert shown_id(page) == "31UES_2019-05_wasp_scl"
    assert page.locator("#when").inner_text() == "May 2019 100 % clear, 2 dates"
    red, green, blue, alpha = colour_at(page, "true-colour")
    assert (green, blue, alpha) == (72, 72, 255)  # 0.04 of 0.3, by the gamma
    assert red > green
    options = page.locator("#show option").all_inner_texts()
    assert options[:3] == ["True colour", "False colour (near infrared, red, green)", "NDVI"]
    assert "tile=31UES" in page.url


def test_months_slide(opened: Opened) -> None:
    page = opened("show=status")
    expect(page.locator("#legend li")).to_have_text(["cloud or shadow", "snow", "water", "land"])
    assert colour_at(page, "status") == [185, 201, 138, 255]
    page.locator("#slider").fill("1")
    assert shown_id(page) == "31UES_2019-06_wasp_scl"
    assert any("31UES_2019-06_wasp_scl" in each for each in tiles_of(page, "status"))
    page.get_by_label("Before").click()
    assert shown_id(page) == "31UES_2019-05_wasp_scl"
    page.get_by_label("Synthesis").select_option("median~scl")
    assert shown_id(page) == "31UES_2019-05_median_scl"


def test_two_methods_meet_at_a_line(opened: Opened) -> None:
    page = opened("show=ndvi")
    page.get_by_label("Compare, by swiping").check()
    expect(page.locator("#right-name")).to_have_text("May 2019, median, mask scl")
    page.locator("#period2").select_option("2019-06")
    expect(page.locator("#right-name")).to_have_text("Jun 2019, median, mask scl")
    found = tiles_of(page, "ndvi")
    assert {
        name for name in ("2019-05_wasp", "2019-06_median") if any(name in f for f in found)
    } == {
        "2019-05_wasp",
        "2019-06_median",
    }
    page.get_by_label("Where the two pictures meet").fill("250")
    width = page.locator("#map").bounding_box()["width"]  # type: ignore[index]
    clips = [
        [float(x) for x in re.findall(r"(-?[\d.]+)px -?[\d.]+px", page.locator(f".leaflet-{side}-pane").evaluate("e => e.style.clipPath"))]
        for side in ("left", "right")
    ]  # fmt: skip
    assert max(clips[0]) - min(clips[0]) == pytest.approx(width / 4, abs=1)
    assert max(clips[1]) - min(clips[1]) == pytest.approx(width * 3 / 4, abs=1)
    assert "swipe=250" in page.url
    page.get_by_label("On the right").select_option("wasp~scl")
    page.locator("#period2").select_option("")  # of one method the same month would show nothing
    expect(page.locator("#right-name")).to_have_text("Jun 2019, wasp, mask scl")


def test_a_click_draws_the_series_of_a_pixel(opened: Opened) -> None:
    page = opened("product=median~scl")
    box = page.locator(".leaflet-outlines-pane path").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.62)
    dots = page.locator("#chart .date")
    expect(dots).to_have_count(4)
    assert dots.evaluate_all("all => all.map(d => [d.dataset.class, d.dataset.value])") == [
        ["clear", "0.7500"],
        ["cloud", "0.7073"],
        ["clear", "0.6667"],
        ["cloud", "0.6279"],
    ]
    months = page.locator("#chart .month-dot")
    assert months.evaluate_all("all => all.map(d => [d.dataset.period, d.dataset.value])") == [
        ["2019-05", "0.7500"],
        ["2019-06", "0.6667"],
    ]
    dots.nth(1).click()
    expect(page.locator("#when")).to_contain_text("2019-05-14")
    assert page.locator("#mode-dates").get_attribute("aria-pressed") == "true"


def test_a_pixel_is_explained_and_traced(opened: Opened) -> None:
    page = opened(f"product=median~scl&at={SOUTH}")
    page.get_by_role("tab", name="Explain").click()
    expect(page.locator("#view-explain .good")).to_have_text(
        "The item holds what follows from its dates."
    )
    used = page.locator("#view-explain table").first.locator("tbody tr td:last-child")
    assert used.all_inner_texts() == ["yes: clear", "no: cloud"]
    page.get_by_role("tab", name="Lineage").click()
    expect(page.locator("#view-lineage")).to_contain_text("S2_31UES_20190514")
    expect(page.locator("#view-lineage .says").first).to_contain_text("current")
    link = page.locator("#shown-text").get_by_role("link", name="JSON").evaluate("e => e.href")
    item = page.request.get(link).json()
    assert (item["type"], item["id"]) == ("Feature", "31UES_2019-05_median_scl")


def test_a_mask_lies_over_its_date(opened: Opened) -> None:
    page = opened("mode=dates&stamp=20190514T105600")
    page.get_by_label("Mask over it").select_option("scl strict")
    assert colour_at(page, "mask-overlay") == [228, 87, 107, 255]
    (address, *_) = tiles_of(page, "mask-overlay")
    assert "reading=strict" in address
    assert "time=20190514T105600" in address
    legend = page.locator("#legend li").all_inner_texts()
    assert legend == ["cloud", "cloud shadow", "thin cloud", "snow", "water"]
    page.get_by_label("Mask over it").select_option("scl")
    page.wait_for_function("() => document.querySelector(\".leaflet-tile[src*='cloud-mask-scl']\")")
    page.get_by_label("Opacity of the mask").fill("30")
    layer = page.locator(".leaflet-layer").filter(has=page.locator("[src*='cloud-mask-scl']"))
    expect(layer.last).to_have_css("opacity", "0.3")


def test_keys_do_what_they_say(opened: Opened) -> None:
    page = opened()
    zoom = float(re.findall(r"z=([\d.]+)", page.url)[0])
    page.keyboard.press("ArrowRight")
    assert shown_id(page) == "31UES_2019-06_wasp_scl"
    page.keyboard.press("ArrowLeft")
    assert shown_id(page) == "31UES_2019-05_wasp_scl"
    page.keyboard.press("ArrowDown")
    assert page.locator("#show").input_value() == "false-colour"
    page.keyboard.press("-")
    page.wait_for_function(f"() => location.hash.includes('z={zoom - 1:g}&')")
    page.keyboard.press("c")
    expect(page.locator("#swipe")).to_be_visible()
    page.keyboard.press("d")
    page.keyboard.press("m")
    assert page.locator("#over").input_value() == "scl"
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#pixel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#pixel")).to_be_hidden()


def test_an_address_brings_back_what_was_seen(opened: Opened) -> None:
    state = f"tile=31UES&mode=dates&show=ndvi&stamp=20190608T105600&over=scl&at={MIDDLE}&z=14&lat=50.747&lon=4.06"
    page = opened(state)
    expect(page.locator("#when")).to_contain_text("2019-06-08")
    expect(page.locator("#chart .date")).to_have_count(4)
    for said in state.split("&"):
        assert said.partition("=")[0] + "=" in page.url
    assert "z=14&lat=50.747" in page.url
    part = opened("tile=31UES&z=5")  # a zoom without a place leads to the tile
    assert "lat=50.74" in part.url


def test_a_phone_has_room_for_all_of_it(opened: Opened) -> None:
    page = opened(f"at={MIDDLE}", width=390, height=760)
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#chart .date")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_label("Close").click()
    page.get_by_role("button", name="Options").click()
    expect(page.get_by_label("Synthesis")).to_be_visible()
    slider = page.locator("#slider").bounding_box()
    assert slider is not None
    assert slider["x"] >= 0
    assert slider["x"] + slider["width"] <= 390


def test_every_control_has_a_name(opened: Opened) -> None:
    page = opened(f"compare=1&at={MIDDLE}")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [role=tab], a")].filter(e =>
        !(e.getAttribute("aria-label") || e.textContent.trim() || (e.labels && e.labels.length)))
        .map(e => e.outerHTML)"""
    )
    assert nameless == []


def test_the_operations_are_described_without_another_host(address: str, browser: Browser) -> None:
    said: list[str] = []
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:")) else said.append(r.url),
        )
        links = page.request.get(address).json()["links"]
        (docs,) = (link["href"] for link in links if link["rel"] == "service-doc")
        page.goto(docs)
        shown = page.locator(".opblock-summary-path")
        expect(shown.filter(has_text="/series/{tile}")).to_have_count(1)
        described = page.request.get(f"{address}/api").json()["paths"]
        assert shown.count() == sum(len(methods) for methods in described.values())
        page.locator(".opblock", has_text="/healthz").locator(".opblock-summary").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        answer = page.locator(".live-responses-table tbody .response-col_description").first
        expect(answer).to_contain_text('"status": "ok"')
    assert said == []

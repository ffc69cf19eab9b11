"""The console in a real browser: login by link, both languages, both themes, the restart dialog."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn

from supervisor.console.app import build_console
from supervisor.console.auth import Sessions
from tests.unit.console.fake import FakeSupervisor, story

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("GLYPH_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium here"),
]


@dataclass
class Site:
    url: str
    supervisor: FakeSupervisor
    sessions: Sessions


@pytest.fixture
def site() -> Iterator[Site]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    port = listening.getsockname()[1]
    supervisor = FakeSupervisor()
    supervisor.rows = story()
    sessions = Sessions(link_seconds=60, session_seconds=600)
    app = build_console(supervisor, sessions, host="127.0.0.1", port=port)
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield Site(f"http://127.0.0.1:{port}", supervisor, sessions)
    server.should_exit = True
    thread.join(20)
    listening.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def open_page(chromium: "Browser", locale: str, scheme: str) -> tuple["Page", list[str]]:
    """A page whose every complaint (script error, refused resource) is collected."""
    context = chromium.new_context(
        locale=locale, color_scheme=scheme, viewport={"width": 1200, "height": 900}
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def log_in(page: "Page", site: Site) -> None:
    """Until the first page is there and its script has started (it reveals the theme button)."""
    page.goto(site.sessions.login_link(site.url))
    page.wait_for_selector("#live")
    page.wait_for_selector("#theme", state="visible")


@dataclass(frozen=True)
class Reader:
    locale: str
    scheme: str
    heading: str
    ground: str


ENGLISH = Reader("en-US", "light", "Serving", "rgb(245, 246, 248)")
CHINESE = Reader("zh-CN", "dark", "服务中", "rgb(11, 14, 19)")


@pytest.mark.parametrize("reader", [ENGLISH, CHINESE])
def test_a_link_logs_in_and_the_page_looks_as_the_reader_likes(
    chromium: "Browser", site: Site, tmp_path: Path, reader: Reader
) -> None:
    page, complaints = open_page(chromium, reader.locale, reader.scheme)
    page.goto(site.url)
    assert page.url.endswith("/login")
    log_in(page, site)
    assert page.url == f"{site.url}/"
    assert page.inner_text("h1") == reader.heading
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == reader.ground
    page.screenshot(path=tmp_path / f"console-{reader.locale}.png", full_page=True)
    page.click("#theme")
    other = "light" if reader.scheme == "dark" else "dark"
    page.wait_for_selector(f"html[data-theme={other}]")
    page.reload()
    assert page.get_attribute("html", "data-theme") == other
    page.click("button[name=language]:not([aria-pressed=true])")
    page.wait_for_selector("html[lang=en]" if reader.locale == "zh-CN" else "html[lang=zh-CN]")
    page.click("form[action='/logout'] button")
    page.wait_for_url("**/login")
    assert complaints == []
    page.context.close()


def test_the_dialog_asks_for_a_reason_and_survives_live_updates(
    chromium: "Browser", site: Site
) -> None:
    page, complaints = open_page(chromium, "en-US", "light")
    log_in(page, site)
    page.click("[data-opens=restart-worker-0]")
    dialog = page.locator("#restart-worker-0")
    assert "3 requests run on this worker" in dialog.inner_text()
    page.click("#restart-worker-0 .primary")
    assert dialog.is_visible(), "a restart without a reason must not be sent"
    page.keyboard.type("new wei")
    site.supervisor.states[0] = "loading"
    page.wait_for_selector("#worker-worker-0 .steps", state="attached")
    page.keyboard.type("ghts")
    assert page.input_value("#reason-worker-0") == "new weights"
    assert site.supervisor.calls == []
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice")
    assert page.inner_text("#notice") == "The restart of worker-0 was ordered."
    page.wait_for_url(f"{site.url}/")
    assert site.supervisor.calls == [("restart", "worker-0", "new weights", "console")]
    assert complaints == []
    page.context.close()


def test_escape_closes_the_dialog_and_nothing_is_ordered(chromium: "Browser", site: Site) -> None:
    page, _ = open_page(chromium, "en-US", "light")
    log_in(page, site)
    button = page.locator("[data-opens=restart-worker-1]")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("why")
    page.keyboard.press("Escape")
    assert not page.locator("#restart-worker-1").is_visible()
    assert page.evaluate("document.activeElement.dataset.opens") == "restart-worker-1"
    assert site.supervisor.calls == []
    page.context.close()


def test_the_page_says_when_the_supervisor_does_not_answer(chromium: "Browser", site: Site) -> None:
    page, _ = open_page(chromium, "en-US", "light")
    log_in(page, site)
    assert not page.locator("#lost").is_visible()
    page.route("**/live", lambda route: route.abort())
    page.wait_for_selector("#lost:not([hidden])")
    assert "does not answer" in page.inner_text("#lost")
    page.unroute("**/live")
    page.wait_for_selector("#lost", state="hidden")
    assert re.fullmatch(r"Serving", page.inner_text("h1"))
    page.context.close()

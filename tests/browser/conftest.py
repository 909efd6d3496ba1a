"""A real Chromium in front of a live server; left out with a reason where there is no browser."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo import world

CHROMIUM = os.environ.get("GUOKU_CHROMIUM", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not CHROMIUM:
        for item in items:
            if "browser" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no Chromium: set GUOKU_CHROMIUM to its path"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # the browser's event loop runs in the test's thread
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def at(chromium, live_server, real_city) -> Iterator[Callable[..., Any]]:
    """Return a page with an officer logged in; any console error or CSP violation fails the test."""
    complaints: list[str] = []
    contexts = []

    def log_in(username: str, *, width: int = 1366, height: int = 768, theme: str = "light") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{live_server.url}/login/")
        page.fill("#username", username)
        page.fill("#password", world.PASSWORD)
        page.click("form[action='/login/'] button")
        page.wait_for_url(f"{live_server.url}/")
        page.address = live_server.url
        return page

    yield log_in
    for context in contexts:
        context.close()
    assert complaints == []

"""A page in Debian's chromium, without a network."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, Playwright

CHROMIUM = shutil.which("chromium")
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclasses.dataclass
class Opened:
    """A page, what it asked for and what went wrong on it."""

    page: Page
    requests: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def opened(
    playwright: Playwright, file: Path, profile: Path, *, theme: str = "light", width: int = 1200
) -> Iterator[Opened]:
    """Open a file in a browser with a fresh profile, and wait until its charts are drawn."""
    context = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=CHROMIUM,
        args=_ARGUMENTS,
        offline=True,
        color_scheme=theme,
        viewport={"width": width, "height": 800},
    )
    try:
        result = Opened(context.new_page())
        page = result.page
        page.on("request", lambda request: result.requests.append(request.url))
        page.on("pageerror", lambda error: result.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning") and result.errors.append(message.text)
            ),
        )
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-drawn]", state="attached")
        yield result
    finally:
        context.close()

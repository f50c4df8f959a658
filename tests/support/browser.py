"""Pages in a real browser: chromium of the machine, driven by Playwright; tests skip, and say why, where either is missing."""

import os
import re
import shutil
from contextlib import contextmanager

import pytest

BROWSER = "EVALAID_BROWSER"  # names the browser's program where it is not on PATH
WIDTHS = (390, 820, 1440)
PHONE_HEIGHT = 844
SMALLEST_LETTER = 9  # CSS pixels
SHEETS = 25  # of A4, on which a study is printed
LISTS = ("numbers", "downloads")  # pages of a study that are looked up and never printed: their sheet is their head
ROUNDING = 0.05  # of a letter's size on the screen
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser():
    """Return the path of a browser; skip the test, loudly, where there is none."""
    named = os.environ.get(BROWSER)
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.skip(
            f"NO BROWSER: none of {', '.join(NAMES)} is on PATH; install chromium, or name one: {BROWSER}=/path/of/chromium"
        )
    return found


@contextmanager
def open_browser():
    """Start a browser without a window."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="NO BROWSER: playwright is not installed (requirements-dev.lock)"
    )
    program = find_browser()
    with api.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])  # CI runs as root
        except api.Error as error:
            pytest.skip(f"NO BROWSER: {program} does not start: {str(error).splitlines()[0]}")
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser, path, width=390, height=844, scheme="light"):
    """Open a file and yield the page with what went wrong on it: errors of the console, requests for anything but the file."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page, faults = context.new_page(), []
    page.on(
        "console", lambda told: faults.append(f"console: {told.text}") if told.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(("file:", "data:")) else faults.append(f"request: {asked.url}"),
    )
    page.goto(path.as_uri())
    try:
        yield page, faults
    finally:
        context.close()


def find_faults(page):
    """Return what axe finds at any level: rule, and the first places where it is broken."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="NO AXE: axe-playwright-python is not installed"
    )
    # What is passed is not listed node by node, which takes as long as all rules.
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [(rule["id"], [node["html"][:160] for node in rule["nodes"][:3]]) for rule in found]


def count_printed(page):
    """Return on how many sheets of A4 a page is printed."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format="A4", prefer_css_page_size=True)))


def count_sheets(browser, folder):
    """Return on how many sheets the pages of a study are printed, all but the lists; a list must not print what it lists."""
    sheets = 0
    for path in sorted(path for path in folder.glob("*.html") if "." not in path.stem):  # of one language
        with open_page(browser, path, 1440, 900) as (page, _):
            if path.stem.partition("_")[0] in LISTS:
                page.emulate_media(media="print")
                assert not page.locator("main").is_visible(), path.name
            else:
                sheets += count_printed(page)
    return sheets


def look_at(browser, path):
    """Open a page at every width, light and dark; return everything that is wrong with it."""
    wrong = []
    with open_page(browser, path) as (page, faults):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": PHONE_HEIGHT})
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            wrong += [f"{width}: {over} px beyond the right edge"] if over > 0 else []
        for width, scheme in ((390, "light"), (1440, "dark")):
            page.set_viewport_size({"width": width, "height": PHONE_HEIGHT})
            page.emulate_media(color_scheme=scheme)
            wrong += [f"{width} {scheme}: {fault}" for fault in find_faults(page)]
        page.set_viewport_size({"width": 390, "height": PHONE_HEIGHT})
        small = page.evaluate("""() => [...document.querySelectorAll("svg text")].filter((text) => text.checkVisibility()).map((text) => {
            const svg = text.ownerSVGElement, scale = svg.getBoundingClientRect().width / (svg.viewBox.baseVal.width || 1);
            return [parseFloat(getComputedStyle(text).fontSize) * scale, text.textContent];
        }).filter(([size, text]) => text.trim())""")
        small = [f"a letter of {size:.1f} px: {text}" for size, text in small if size < SMALLEST_LETTER - ROUNDING]
        wrong += small[:5]
        return [*wrong, *faults]

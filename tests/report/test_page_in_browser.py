"""Page of a sweep in a headless Chromium: sorted, filtered, asked, by mouse and by keyboard, on a phone too."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories.records import SIZES, SYSTEMS

from bench.report import run_table

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e .[dev]")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PHONE = {"width": 390, "height": 844}

NO_BROWSER = "no browser: apt-get install chromium, or python -m playwright install chromium"

OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll('.drawn text')].filter((text) => text.textContent && text.getBBox().width)
    .map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    .map(([other]) => `${one} / ${other}`));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    """Headless Chromium of the machine, or the one that Playwright installed."""
    with sync_api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), playwright.chromium.executable_path)
        if not Path(path).is_file():
            pytest.skip(NO_BROWSER)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])  # root in a container
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(sweep_report: Path) -> str:
    """Address of the synthetic sweep's page."""
    return (sweep_report / "index.html").as_uri()


@pytest.fixture
def page(browser: "sync_api.Browser", address: str) -> Iterator["sync_api.Page"]:
    """The page on a wide screen; a test fails if it logs an error or asks for anything beyond the file."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_selector(".drawn svg")
    yield page
    page.close()
    assert (errors, set(requests)) == ([], {address})


def column(page: "sync_api.Page", place: int) -> list[str]:
    """Return the texts of one column of the leaderboard, without the standard error."""
    cells = page.locator(f"#leaderboard tbody tr > :nth-child({place})").all_inner_texts()
    return [text.split("\n")[0].split(" ±")[0].strip() for text in cells]


def test_table_sorts_by_column_when_header_is_clicked_or_enter_is_pressed(page: "sync_api.Page"):
    bits = [float(text) for text in column(page, 3)]
    assert bits == sorted(bits)
    heading = page.locator("#leaderboard th", has_text="acc@1 %").first
    heading.click()
    sync_api.expect(heading).to_have_attribute("aria-sort", "descending")
    accuracies = [float(text) for text in column(page, 4)]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [float(text) for text in column(page, 3)] != bits
    heading = page.locator("#leaderboard th", has_text="train s").first
    heading.locator("[tabindex='0']").or_(heading).last.focus()
    page.keyboard.press("Enter")
    sync_api.expect(heading).to_have_attribute("aria-sort", "ascending")
    seconds = [float(text) for text in column(page, 5) if text != "–"]
    assert seconds == sorted(seconds) and len(seconds) > 3
    assert column(page, 5)[len(seconds) :] == ["–"] * (len(column(page, 5)) - len(seconds))


def test_filters_leave_the_rows_of_the_chosen_facts(page: "sync_api.Page"):
    assert set(column(page, 2)) == {f"{SIZES[-1]:,}"} and len(column(page, 1)) == len(SYSTEMS)
    page.get_by_label("V", exact=True).select_option("1,000")
    assert set(column(page, 2)) == {"1,000"}
    page.get_by_label("V", exact=True).select_option("all")
    page.get_by_label("System", exact=True).select_option("cosine")
    assert column(page, 1) == ["cosine"] * len(SIZES) and sorted(column(page, 2)) == ["1,000", "20,000", "5,000"]
    assert page.locator("#shown").inner_text() == f"{len(SIZES)} of {len(SIZES) * len(SYSTEMS)} rows"


def test_columns_beyond_seven_open_on_demand(page: "sync_api.Page"):
    headings = page.locator("#leaderboard thead th")
    assert sum(each.is_visible() for each in headings.all()) == 7
    page.get_by_label("all columns").check()
    assert sum(each.is_visible() for each in headings.all()) == headings.count() > 15


def test_control_answers_for_the_chosen_size_and_need(page: "sync_api.Page", sweep_report: Path):
    runs = run_table.load([sweep_report])
    answer = page.locator(".answer:visible")
    needs = (("accuracy", "accuracy_at_1", True), ("memory", "peak_mib", False))
    for size, (need, field, is_higher) in itertools.product(SIZES, needs):
        page.get_by_label("Vocabulary size V").select_option(f"{size:,}")
        page.get_by_label("What matters").select_option(need)
        here = runs[(runs.vocabulary_size == size) & runs.competes]
        first, second, *_ = here.groupby("label")[field].mean().dropna().sort_values(ascending=not is_higher).index
        assert answer.count() == 1
        assert answer.locator("strong").inner_text().split(" or ")[0] == first
        assert answer.locator("thead th").all_inner_texts() == [first, second]


def test_definition_shows_on_focus_and_on_hover_until_escape(page: "sync_api.Page"):
    definition, heading = page.locator("#definition"), page.locator("#leaderboard th", has_text="acc@1 %").first
    assert not definition.is_visible()
    heading.hover()
    assert "How often the best answer is right" in definition.inner_text()
    page.keyboard.press("Escape")
    assert not definition.is_visible()
    page.locator("#leaderboard th", has_text="train s").first.locator("[tabindex='0']").last.focus()
    assert "Price of the quality" in definition.inner_text()


def test_marker_shows_its_figures_on_hover(page: "sync_api.Page"):
    markers = page.locator(".drawn path[aria-roledescription='point']")
    assert markers.count() == 6 * len(SIZES)  # of the trained systems
    markers.last.scroll_into_view_if_needed()
    markers.last.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    texts = tooltip.inner_text()
    assert all(name in texts for name in ("system", "V", "bits per byte", "accuracy@1", "training"))
    page.get_by_label("Training cost").select_option("training FLOPs")
    page.wait_for_selector(".drawn text:has-text('training FLOPs')")


def test_texts_of_the_interactive_figure_do_not_overlap_on_a_wide_and_on_a_narrow_screen(page: "sync_api.Page"):
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.set_viewport_size(PHONE)
    page.reload()
    page.wait_for_selector(".drawn svg")
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_axe_finds_no_serious_violation_in_light_and_dark_colours(browser: "sync_api.Browser", address: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core: pip install -e .[dev]")
    context = browser.new_context(viewport=PHONE, bypass_csp=True)  # axe-core is a script too
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".drawn svg")
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page, options={"resultTypes": ["violations"]} | rules).response["violations"]
        serious = {
            each["id"]: [node["html"] for node in each["nodes"]]
            for each in found
            if each["impact"] in ("serious", "critical")
        }
        assert serious == {}, scheme
    context.close()


def test_page_without_javascript_shows_every_row_and_answer(browser: "sync_api.Browser", address: str):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#leaderboard tbody tr:visible").count() == len(SIZES) * len(SYSTEMS)
    assert page.locator(".answer:visible").count() == len(SIZES) * 5
    assert page.locator("figure[aria-label='quality vs cost'] svg").is_visible()
    assert not page.locator("select:visible").count()
    context.close()

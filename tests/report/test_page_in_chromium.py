"""report.html as a browser shows it: harmless, complete by keyboard, legible in both themes and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report import browser, odd_names
from zfscale import report
from zfscale.patching import replaced
from zfscale.report import writing
from zfscale.results import certificates
from zfscale.results.certificates import SIGNED
from zfscale.results.check import look
from zfscale.results.layout import PAGE

pytestmark = pytest.mark.skipif(browser.FOUND is None, reason=f"no Chromium here: {', '.join(browser.NAMES)}")

# Texts whose contrast is below WCAG AA, of what is seen: 4.5, or 3 of large letters.
LOW_CONTRAST = """(() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => sum + share * linear(c[i] / 255), 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const c = rgb(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || ["SCRIPT", "STYLE", "OPTION"].includes(node.tagName)) continue;
    const style = getComputedStyle(node), svg = node instanceof SVGElement;
    const pair = [light(rgb(svg ? style.fill : style.color)), light(ground(node))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05), size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < wanted) low.push([node.textContent.slice(0, 40), ratio]);
  }
  return low;
})()"""
NAMELESS = """[...document.querySelectorAll("button, a, select, input, [role=region], [role=img]")].filter((node) =>
  !(node.textContent.trim() && node.matches("button, a")) && !node.getAttribute("aria-label") && !node.labels?.length
).length"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page") / odd_names.FOLDER
    odd_names.classes(root)
    odd_names.domains(root)
    for row in look(root, SIGNED).rows[::2]:
        certificates.write(root, row["trial_id"], {"holds": True, "row": certificates.signature(row), "at": [1, None]})
    with replaced(writing, "_pictures", lambda *_: []):
        report.make(root)
    return root / PAGE


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("browser") / "profile") as made:
        yield made


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 1200), ("light", 390), ("dark", 390)])
def test_it_opens_without_trouble_and_is_legible(tab: browser.Page, file: Path, theme: str, width: int) -> None:
    tab.open(file, width, theme=theme)
    assert tab.run("document.querySelectorAll('.uplot canvas').length") > 0
    assert tab.run(LOW_CONTRAST) == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(NAMELESS) == 0
    tab.run("document.querySelector('#every button.id').click()")
    assert tab.run("document.querySelector('dialog').open") is True
    assert tab.run(LOW_CONTRAST) == []
    assert tab.troubles() == []
    tab.run("document.body.style.setProperty('--quiet', '#777')")
    assert tab.run(LOW_CONTRAST)  # which shows that one looks


def test_names_are_shown_as_they_are_and_do_nothing(tab: browser.Page, file: Path) -> None:
    tab.open(file)
    assert tab.run("window.pwned") is None
    assert tab.run("document.getElementById('title').textContent") == odd_names.FOLDER
    shown = set(tab.run("[...document.querySelectorAll('#class-incremental td')].map((cell) => cell.textContent)"))
    assert set(odd_names.NAMES) <= shown
    assert tab.run("document.querySelectorAll('img, iframe, main script, main style').length") == 0


def test_tables_sort_and_filter_by_keyboard(tab: browser.Page, file: Path) -> None:
    tab.open(file)
    first = "document.querySelector('#class-incremental tbody tr td:nth-child({})').textContent"
    column = tab.run(
        "[...document.querySelectorAll('#class-incremental th')].findIndex((th) => th.textContent === 'Avg %')"
    )
    head = f"document.querySelectorAll('#class-incremental th')[{column}]"
    before = tab.run(first.format(column + 1))
    tab.run("document.querySelector('#class-incremental select:last-of-type').focus()")
    while not tab.run(f"document.activeElement === {head}.firstChild"):
        tab.press("Tab")
    tab.press("Enter")
    assert tab.run(f"{head}.getAttribute('aria-sort')") == "descending"
    best = tab.run(first.format(column + 1))
    assert float(best.split()[0]) > float(before.split()[0])
    tab.press("Enter")
    assert tab.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert float(tab.run(first.format(column + 1)).split()[0]) < float(best.split()[0])
    tab.run("document.querySelector('#class-incremental input').focus()")
    for letter in "a|b":
        tab.press(letter)
    status = "document.querySelector('#class-incremental [role=status]').textContent"
    assert tab.run(status) == f"2 of {2 * len(odd_names.NAMES)} shown"
    assert tab.troubles() == []


def test_one_goes_down_to_a_trial_and_back_by_keyboard(tab: browser.Page, file: Path) -> None:
    tab.open(file)
    tab.run("document.querySelector('#class-incremental tbody button').focus()")
    tab.press("Enter")
    assert tab.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    while not tab.run("document.activeElement.matches('tr.inside button.id')"):
        tab.press("Tab")
    trial = tab.run("document.activeElement.textContent").split()[0]
    tab.press("Enter")
    dialog = "document.querySelector('dialog')"
    assert tab.run(f"{dialog}.open && {dialog}.contains(document.activeElement)")
    said = tab.run(f"{dialog}.textContent")
    assert trial in said
    assert "finished" in said
    assert tab.run("location.hash") == f"#trial-{trial}"
    tab.press("Escape")
    assert not tab.run(f"{dialog}.open")
    assert tab.run("document.activeElement.textContent").split()[0] == trial
    assert tab.troubles() == []


def test_a_trial_shows_its_error_its_certificate_and_its_run(tab: browser.Page, file: Path) -> None:
    tab.open(file)
    failed, verified = tab.run(
        "[RUNS => [RUNS.errors.codes.findIndex((code) => RUNS.errors.values[code]), "
        "RUNS.ids.findIndex((_, i) => RUNS.certificates[i])].map((i) => RUNS.ids[i])]"
        "[0](JSON.parse(document.getElementById('data').textContent).runs)"
    )
    tab.open(file, hash=f"#trial-{failed}")
    assert tab.run("document.querySelector('dialog a')") is None  # its address is a script
    assert "OpError" in tab.run("document.querySelector('dialog pre').textContent")
    tab.open(file, hash=f"#trial-{verified}")
    assert "verified" in tab.run("document.querySelector('dialog .badge.good').textContent")
    assert tab.run("document.querySelector('dialog a').textContent") == odd_names.URL


def test_the_theme_can_be_chosen(tab: browser.Page, file: Path) -> None:
    tab.open(file, theme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for _ in range(3):
        tab.run("document.getElementById('theme').click()")
        seen.append(tab.run(ground))
    assert len(set(seen)) == 2
    assert tab.run("document.getElementById('theme').textContent") == "Theme: system"


def test_nothing_is_in_bold_among_methods(tab: browser.Page, file: Path) -> None:
    """It would be the best of its own method."""
    tab.open(file)
    assert tab.run("document.querySelectorAll('#class-incremental td.lead').length") > 0
    assert tab.run("document.querySelectorAll('#summary td').length") > 0
    assert tab.run("document.querySelectorAll('#summary td.lead').length") == 0

"""Auctions, games and matches in a real JupyterLab: what people see, and what they do by mouse and keys."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from rtwidgets.testing import Lab
from tests.notebooks.test_tutorial import WORDS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE = 40_000.0
EVIL = '<img src=x onerror="window.hit = 1"> & <b>lamp</b>'

SETUP = """
import rtwidgets as rt
import rtwidgets.services.auctions as service

server = rt.serve(services=["auctions", "games", "scores"])
"""

GAME = """
ada, bob, eve = (rt.game("table", name=name) for name in ("ada", "bob", "eve"))
"""

AUCTION = f"""
seller, bidder = rt.auction("lamp", name="sue"), rt.auction("lamp", name="ada")
seller.open({EVIL!r}, start=100, increment=50, seconds=3600)
"""

MATCH = f"""
tom, joe = rt.match("final", name="tom"), rt.match("final", name="joe")
tom.begin("Ajax", "Benfica")
tom.note({EVIL!r})
"""

ALL = """
sold = [rt.auction("vase", name=name) for name in ("sue", "ben")]
sold[0].open("Vase", start=1, increment=1, seconds=3600)
for amount in (10, 17):
    sold[1].bid(amount)
players = [rt.game("other", name=name) for name in ("ann", "cyd")]
for player in players:
    player.sit()
for column in (0, 1, 0, 1, 0, 1):
    players[column].drop(column)
played = rt.match("other", name="tom")
played.begin("Ajax", "Benfica")
played.score("home", 2, "Cruyff")
display(sold[1], players[0], played)
"""

CELLS = [
    SETUP,
    *(GAME, "ada", "bob", "eve", "print(ada.result, ada.winner, ada.board[-1])"),
    *(AUCTION, "bidder", "seller", "print(bidder.standing[2:6])"),
    "clock = service.clock\nservice.clock = lambda: clock() + 4e6",
    *(MATCH, "tom", "joe"),
    ALL,
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A notebook of these cells in which the first one was run."""
    folder = tmp_path_factory.mktemp("plays")
    cells = [new_code_cell(source.strip()) for source in CELLS]
    nbformat.write(new_notebook(cells=cells), folder / "plays.ipynb")
    with Lab(folder) as lab:
        page = lab.open("plays.ipynb")
        page.run_cell(0)
        yield page


def run(page, *sources):
    """Run cells; return them."""
    numbers = [CELLS.index(source) for source in sources]
    for number in numbers:
        page.run_cell(number)
    return [page.cell(number) for number in numbers]


def printed(page, source):
    run(page, source)
    return page.output_text(CELLS.index(source))


def see(locator, words):
    expect(locator).to_contain_text(words, timeout=PATIENCE)


def test_two_play_and_one_watches(page):
    """One by mouse, one by keys; all three see the moves, whose turn it is, and who has won by which four."""
    _, ada, bob, eve = run(page, GAME, "ada", "bob", "eve")
    for player in (ada, bob):
        player.get_by_role("button", name="Take a seat").click(timeout=PATIENCE)
        see(player, "Resign" if player is bob else "Waiting for a second player")
    see(ada, "Your turn ●")
    expect(eve.get_by_role("button", name="Take a seat")).to_be_hidden(timeout=PATIENCE)
    bob.locator(".rtw-board-cell").nth(3).focus()
    for key in ("ArrowRight", "ArrowDown", "End", "ArrowLeft"):
        page.page.keyboard.press(key)  # to the sixth column
    for number in range(1, 4):
        ada.get_by_role("button", name="column 1, row 1").click()
        see(bob, "Your turn ○")
        bob.locator(".rtw-board-cell[tabindex='0']").press("Enter")
        see(ada, "Your turn ●")
        expect(bob.locator(".rtw-board-ring")).to_have_count(number, timeout=PATIENCE)
    bob.get_by_role("button", name="column 2, row 1").click()
    see(bob.get_by_role("alert"), "it is the turn of seat 1")
    ada.get_by_role("button", name="column 1, row 4").click()
    see(ada, "You have won ●: four in a row")
    for watcher in (bob, eve):
        see(watcher, "has won ●: four in a row")
        expect(watcher.locator(".rtw-board-won")).to_have_count(4)
        last = watcher.locator(".rtw-board-last")
        expect(last).to_have_attribute("aria-label", "column 1, row 4: ● ada, the last move, one of the four")
    assert printed(page, "print(ada.result, ada.winner, ada.board[-1])") == "won ada 1....2."
    bob.get_by_role("button", name="Play again").press("Enter")
    see(bob, "Your turn ●")
    assert page.problems == []


def test_an_auction(page):
    """A bid by click and one by the Enter key, one that is refused, and the end; a title is never HTML."""
    _, ada, sue = run(page, AUCTION, "bidder", "seller")
    see(ada.locator(".rtw-play-heading"), EVIL)
    amount, bid = ada.get_by_role("spinbutton"), ada.get_by_role("button", name="Bid")
    expect(amount).to_have_value("100", timeout=PATIENCE)
    bid.click()
    expect(amount).to_have_value("150", timeout=PATIENCE)
    expect(ada).not_to_contain_text("…", timeout=PATIENCE)  # it was answered
    bid.dispatch_event("click", {"detail": 2})  # the other half of a double click, which is one bid
    for shown in (ada, sue):
        see(shown.locator(".rtw-auction-high"), "100")
    amount.fill("149")
    amount.press("Enter")
    see(ada.get_by_role("alert"), "bid 150 or more")
    amount.fill("1200")
    amount.press("Enter")
    see(sue.locator(".rtw-auction-high"), "1,200")
    expect(ada.locator(".rtw-play-reason")).to_be_empty()
    expect(sue.locator(".rtw-auction-ladder li")).to_have_count(2)
    expect(sue.get_by_role("button", name="Bid")).to_be_disabled()
    assert printed(page, "print(bidder.standing[2:6])") == "(1200, 'ada', 2, 1250)"
    left = ada.get_by_role("timer").text_content()
    expect(ada.get_by_role("timer")).not_to_have_text(left, timeout=PATIENCE)  # it goes on
    run(page, CELLS[10])
    see(ada.locator(".rtw-auction-high"), "sold to ada (you)")
    see(sue.get_by_role("timer"), "closed")
    expect(amount).to_be_hidden()
    assert page.evaluate("window.hit ?? null") is None
    assert page.problems == []


def test_a_match(page):
    """Who reports has buttons, who watches has none; texts of others are never HTML."""
    _, tom, joe = run(page, MATCH, "tom", "joe")
    tom.get_by_role("button", name="+1 Benfica").click(timeout=PATIENCE)
    see(joe.locator(".rtw-score"), "0 : 1")
    see(joe.locator(".rtw-score-events li").first, "Benfica scores")
    see(joe, EVIL)
    expect(joe.get_by_role("button", name="+1 Benfica")).to_be_hidden()
    tom.get_by_role("button", name="End the match").click()
    see(joe, "full time")
    expect(tom.get_by_role("button", name="+1 Benfica")).to_be_hidden(timeout=PATIENCE)
    assert page.evaluate("window.hit ?? null") is None
    assert page.problems == []


def test_all_can_be_read(page):
    """Each text stands out against what is behind it, in each theme."""
    (cell,) = run(page, ALL)
    see(cell, "2 points for Ajax")
    shown = ["heading", "dim", "big", "button:enabled", "input"]
    selector = ", ".join([".rtw-play bdi", ".rtw-board-news", *(f".rtw-play-{name}" for name in shown)])
    for theme in ("light", "dark", "high-contrast"):
        page.set_theme(theme)
        words = cell.evaluate(WORDS, selector)
        assert {"Vase", "17", "Bid", "● live", "2 : 0", "Benfica"} <= dict(words).keys()
        assert [(theme, text, contrast) for text, contrast in words if contrast < 4.5] == []

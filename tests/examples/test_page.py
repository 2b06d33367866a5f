"""The page in `examples/browser.html`, opened from the disk in Chromium."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect, sync_playwright
from websockets.sync.client import connect

from rtwidgets.testing.lab import _FLAGS, _find_browser
from tests.examples.conftest import EXAMPLES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SERVICES = ["prices", "chat", "documents"]
PAGE = (EXAMPLES / "browser.html").as_uri()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_find_browser(None, playwright), args=list(_FLAGS)
        )
        expect.set_options(timeout=30_000)
        yield browser
        browser.close()
        expect.set_options(timeout=None)


@pytest.fixture
def visit(chromium):
    """Open the page, with its form filled in by its address; it must not have an error or load anything."""
    contexts, errors, loaded = [], [], []

    def visit(scheme="light", **asked):
        contexts.append(chromium.new_context(color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(f"{PAGE}?{urlencode(asked)}" if asked else PAGE)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in loaded if not url.startswith((PAGE, "data:"))] == []


def again(up, server, **config):
    """Start a server in the place of one that is gone."""
    return up(port=int(server.url.rpartition(":")[2]), token=server.token, services=SERVICES, **config)


def say(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def write(page, text):
    """Type into the document, once it is there."""
    expect(page.locator("#text")).to_be_editable()
    page.locator("#text").press_sequentially(text)


def until(socket, reached):
    """Return the first message of a document whose text is as it should be."""
    while True:
        message = json.loads(socket.recv(timeout=30))
        if reached(message.get("content", "")):
            return message


def settled(page, server, reached):
    """Wait until the server has a text, and the page has heard of it."""
    with dial(server, "/documents/notes", "eve") as eve:
        version = until(eve, reached)["version"]
    expect(page.locator("#version")).to_have_text(f"version {version}")


def state(page, name):
    return page.locator(f"#{name}-state")


def dial(server, path, user):
    return connect(f"{server.url}{path}?{urlencode({'token': server.token, 'user': user})}", proxy=None)


def test_prices(up, visit):
    """A row and a line for each symbol, which move."""
    server = up(services=SERVICES)
    page = visit(url=server.url, token=server.token)
    expect(page.locator("#board tr")).to_have_count(3)
    assert page.locator("#board td:first-child").all_inner_texts() == ["AAPL", "GOOGL", "MSFT"]
    price = page.locator("#board tr:first-child td").nth(1)
    expect(price).to_have_text(re.compile(r"^[▲▼] \d+\.\d\d$"))
    expect(page.locator("#board tr:first-child td").nth(2)).to_have_text(re.compile(r"^[+−]\d+\.\d\d %$"))
    lines = page.locator("#chart path:not(.zero)")
    expect(lines).to_have_count(3)
    for n in range(3):
        expect(lines.nth(n)).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){3,}$"))
    assert page.locator("#chart").bounding_box()["height"] > 100
    expect(state(page, "prices")).to_have_text("live")


def test_the_form(up, visit):
    """What is asked for may be filled in; the token does not get into the address."""
    server = up(services=SERVICES)
    page = visit()
    expect(state(page, "prices")).to_have_text("not connected")
    for label, value in {
        "Server": f"{server.url}/",
        "Token": server.token,
        "Your name": "ada",
        "room": "tea",
    }.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#board tr")).to_have_count(3)
    with dial(server, "/chat/tea", "bob") as bob:
        bob.send('{"text": "here"}')
        expect(page.locator("#messages")).to_contain_text("here")
    assert server.token not in page.url
    page.get_by_label("room").fill("coffee")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#messages")).to_have_text("ada joined")
    expect(page.locator("#board tr")).to_have_count(3)


def test_chat(up, visit):
    """People in two pages talk; what they say is text, whatever it looks like."""
    server = up(services=SERVICES)
    ada = visit(url=server.url, token=server.token, user="ada", room="tea")
    expect(ada.locator("#messages")).to_have_text("ada joined")
    evil = "<img src=x onerror=alert(1)>"
    bob = visit("dark", url=server.url, token=server.token, user=f"bob{evil}", room="tea")
    expect(ada.locator("#messages")).to_contain_text(f"bob{evil} joined")
    say(bob, f"hello {evil}")
    for page in (ada, bob):
        last = page.locator("#messages li").last
        expect(last.locator("b")).to_have_text(f"bob{evil}")
        expect(last).to_contain_text(f"hello {evil}")
        expect(page.locator("img")).to_have_count(0)
    expect(bob.get_by_label("Message", exact=True)).to_have_value("")
    bob.get_by_label("Message", exact=True).evaluate("field => field.removeAttribute('maxlength')")
    say(bob, "x" * 4_001)
    expect(bob.locator("#messages .error")).to_have_text("a message has 1 to 4000 characters, not 4001")


def test_symbols_are_text(up, visit):
    """What a server calls its symbols is text as well."""
    symbol = "<b>AAPL</b>"
    server = up(services=["prices"], options={"prices": {"symbols": [symbol]}})
    page = visit(url=server.url, token=server.token)
    expect(page.locator("#board td:first-child")).to_have_text(symbol)


def test_a_document_that_two_edit(up, visit):
    """What one types the other has; each edit names the version that it was made from."""
    server = up(services=SERVICES)
    ada = visit(url=server.url, token=server.token, user="ada")
    sent = []
    bob = visit()
    watch = functools.partial(list.append, sent)  # of a kind that Playwright can put a mark on
    bob.on("websocket", lambda socket: socket.on("framesent", watch))
    bob.goto(f"{PAGE}?{urlencode({'url': server.url, 'token': server.token, 'user': 'bob'})}")
    one, other = ada.locator("#text"), bob.locator("#text")
    write(ada, "milk\nbread\n")
    expect(other).to_have_value("milk\nbread\n")
    other.press("Control+End")
    write(bob, "tea\n")
    expect(one).to_have_value("milk\nbread\ntea\n")
    other.evaluate("area => area.setSelectionRange(6, 6)")  # between b and read
    one.press("Control+Home")
    write(ada, "oat ")
    expect(other).to_have_value("oat milk\nbread\ntea\n")
    assert other.evaluate("area => area.selectionStart") == 10
    write(bob, "B")
    expect(one).to_have_value("oat milk\nbBread\ntea\n")
    edits = [edit for edit in map(json.loads, sent) if edit["type"] == "edit"]
    assert edits[-1]["content"] == "oat milk\nbBread\ntea\n"
    with dial(server, "/documents/notes", "eve") as eve:
        assert json.loads(eve.recv())["version"] > edits[-1]["version"] > edits[0]["version"]


def test_two_type_at_once(up, visit):
    """Nothing of either is lost."""
    server = up(services=SERVICES)
    pages = [visit(url=server.url, token=server.token, user=user) for user in ("ada", "bob")]
    words = [[f"<{who}{n}>" for n in range(10)] for who in "ab"]
    for typed in zip(*words, strict=True):
        for page, place, word in zip(pages, ("Home", "End"), typed, strict=True):
            expect(page.locator("#text")).to_be_editable()
            page.locator("#text").press(f"Control+{place}")
            page.keyboard.insert_text(word)

    def all_there(text):
        return sorted(re.findall("<..>", text)) == sorted(words[0] + words[1]) and len(text) == 80

    with dial(server, "/documents/notes", "eve") as eve:
        text = until(eve, all_there)["content"]
    for page in pages:
        expect(page.locator("#text")).to_have_value(text)


def test_line_ends_stay(up, visit):
    """A text with other line ends keeps them where nothing is changed."""
    server = up(services=SERVICES)
    with dial(server, "/documents/notes", "eve") as eve:
        eve.send(json.dumps({"type": "edit", "content": "one\r\ntwo\r\n"}))
        page = visit(url=server.url, token=server.token)
        expect(page.locator("#text")).to_have_value("one\ntwo\n")
        page.locator("#text").press("Control+End")
        write(page, "three\n")
        text = until(eve, lambda text: "three" in text)["content"]
    assert text.startswith("one\r\ntwo\r\nthree")


def test_it_goes_on_after_a_break(up, visit, tmp_path):
    """When the server is back so are chat and prices, and what was typed meanwhile is saved."""
    engine = f"sqlite:///{tmp_path}/log.db"
    server = up(services=SERVICES, engine=engine)
    page = visit(url=server.url, token=server.token, user="ada")
    write(page, "before")
    settled(page, server, lambda text: text == "before")
    say(page, "hello")
    expect(page.locator("#messages")).to_contain_text("hello")
    server.stop()
    for name in ("prices", "chat", "document"):
        expect(state(page, name)).to_have_text(re.compile(r"again in \d+\.\d s$"))
    write(page, " and after")
    say(page, "anybody?")
    expect(page.locator("#messages .error")).to_have_text(
        "There is no connection: your words are still in the field."
    )
    expect(page.get_by_label("Message", exact=True)).to_have_value("anybody?")

    server = again(up, server, engine=engine)
    for name in ("prices", "chat", "document"):
        expect(state(page, name)).to_have_text("live")
    expect(page.locator("#messages b")).to_have_text(["ada"])  # once
    settled(page, server, lambda text: text == "before and after")
    expect(page.locator("#conflict")).to_be_hidden()


@pytest.mark.parametrize(
    ("button", "kept"), [("Keep mine", "mine, typed meanwhile"), ("Take theirs", "theirs")]
)
def test_which_text_is_kept(up, visit, button, kept):
    """Where the server has lost the document and what was typed cannot be merged, the reader is asked."""
    server = up(services=SERVICES)
    page = visit(url=server.url, token=server.token, user="ada")
    for word in ("mine", ", typed"):
        write(page, word)
        settled(page, server, lambda text, word=word: text.endswith(word))
    server.stop()
    expect(state(page, "document")).to_have_text(re.compile(r"again in \d+\.\d s$"))
    write(page, " meanwhile")
    server = again(up, server)  # without a file it begins anew
    with dial(server, "/documents/notes", "eve") as eve:
        eve.send(json.dumps({"type": "edit", "content": "theirs"}))
        expect(page.locator("#conflict")).to_be_visible()
        assert page.locator("#text").input_value() == "mine, typed meanwhile"
        page.get_by_role("button", name=button).click()
        expect(page.locator("#conflict")).to_be_hidden()
        expect(page.locator("#text")).to_have_value(kept)
        until(eve, lambda text: text == kept)


def test_who_may_only_read_is_told(up, visit):
    """A refused edit is told of, and the text stays in the box until the reader decides."""
    secret = "a secret of more than thirty-two bytes"
    server = up(services=SERVICES, jwt={"secret": secret})
    from rtwidgets.server.tokens import Tokens

    token = Tokens(secret=secret).issue("ada", scopes=["subscribe:documents/notes"], lifetime=600)
    page = visit(url=server.url, token=token)
    write(page, "may I?")
    expect(page.locator("#reason")).to_contain_text("your token does not allow to publish")
    expect(page.locator("#text")).to_have_value("may I?")
    page.get_by_role("button", name="Take theirs").click()
    expect(page.locator("#text")).to_have_value("")


def test_light_and_dark(visit):
    """The page follows the reader's theme, with enough contrast in both."""

    def luminance(colour):
        linear = [
            v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def rgb(page, selector, name):
        value = page.locator(selector).first.evaluate(f"each => getComputedStyle(each).{name}")
        return [int(each) for each in re.findall(r"\d+", value)[:3]]

    grounds = []
    for scheme in ("light", "dark"):
        page = visit(scheme)
        grounds.append(luminance(rgb(page, "section", "backgroundColor")))
        for selector in ("section h2", ".state", "th"):
            ink = luminance(rgb(page, selector, "color"))
            low, high = sorted([ink, grounds[-1]])
            assert (high + 0.05) / (low + 0.05) > 4.5, (scheme, selector)
    assert grounds[0] > 0.8
    assert grounds[1] < 0.1


def test_in_front_of_the_gateway(up, visit, go_folder, start):
    """The page shows the prices of the Go gateway, which asks for no token; the rest is not there."""
    server = up(services=["prices"])
    front = start(
        go_folder / "gateway",
        *("-listen", "127.0.0.1:0", "-upstream", server.url),
        env=os.environ | {"RTWIDGETS_TOKEN": server.token},
        stderr=subprocess.DEVNULL,
    )
    page = visit(url=front.stdout.readline().split()[-1])
    expect(page.locator("#board tr")).to_have_count(3)
    expect(state(page, "chat")).to_have_text(re.compile(r"^cannot connect; again in \d+\.\d s$"))

"""Pictures of every widget, in light and dark: `python -m benchmarks.shots [--out build/shots]`.

They are drawn by a JupyterLab of its own, the charts from prices that are the same on each run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from rtwidgets.testing import Lab, NotebookPage

SETUP = """
%load_ext rtwidgets
import asyncio, itertools, random
import rtwidgets as rt

rt.serve(seed=1, options={"prices": {"rate": 200, "start": "2026-01-02T14:30:00Z"}})

@rt.service("/book", time="time")
async def book(channel):
    chance, middle = random.Random(1), 100.0
    for n in itertools.count():
        middle += chance.gauss(0, 0.01)
        side = chance.choice(["buy", "sell"])
        away = round(chance.expovariate(1.5) + 0.01, 2) * (-1 if side == "buy" else 1)
        row = {"side": side, "price": round(100 + away, 2), "size": chance.randint(0, 50)}
        await channel.publish({**row, "time": 1_767_364_200 + n / 100})
        await asyncio.sleep(0.01)

prices = rt.connect("prices")
changes = rt.connect("book")
prices.wait(rows=3000, timeout=60)
changes.wait(rows=300, timeout=60)
""".strip()

CHARTS = {
    "lines": 'prices.chart("price", window=10)',
    "relative": 'prices.chart("price", relative=True)',
    "candles": 'prices.candles("500ms", key="MSFT")',
    "bars": 'prices.bars("price")',
    "histogram": 'prices.histogram("size")',
    "depth": "changes.depth()",
    "table": "prices.table()",
    "rows": 'prices.table(["symbol", "price", "size", "time"], latest=False)',
    "dashboard": 'rt.dashboard(prices.chart("price"), prices.candles("500ms", key="AAPL"), columns=2)',
    "status": "rt.status()",
}
PEOPLE = """
import rtwidgets as rt

rt.serve()
ada, bob = (rt.document("notes", name=name) for name in ("ada", "bob"))
ada.replace("Party on Sunday\\n\\n- oat milk\\n- rye bread\\n- cheese 😀\\n\\nWho brings the music?\\n")
""".strip()
SYSTEMS = """
import rtwidgets as rt

rt.serve()
chat, *others = (rt.chat("lobby", name=name) for name in ("ada", "bob", "cy"))
chat.send("Is the feed up? See https://example.org/status")
others[0].send("It is, since 9:30.")
others[1].send("😀 thanks!")
seller, auction, other = (rt.auction("lamp", name=name) for name in ("ada", "bob", "cy"))
seller.open("A green banker's lamp", start=1_000, increment=50, seconds=600)
for n in range(8):
    (auction, other)[n % 2].bid(1_000 + 70 * n)
stock, orders = rt.connect("inventory", user="ada"), rt.connect("orders", user="bob")
for item in ("lamp", "chair"):
    stock.send({"type": "restock", "item": item, "quantity": 40})
for n in range(40):
    item = ("lamp", "chair")[n % 3 == 0]
    orders.send({"type": "order", "id": str(n), "item": item, "quantity": 1 + n % 2})
inventory = stock.chart("level", by="item")
game, second = (rt.game("table", name=name) for name in ("ada", "bob"))
game.sit()
second.sit()
for n, column in enumerate((3, 3, 2, 4, 1, 1, 2)):
    (game, second)[n % 2].drop(column)
""".strip()
SHOWN = {"chat": "live", "auction": "live", "inventory": "lamp", "game": "live"}  # and what each says then
NARROW = ("relative", "candles", "depth")
TIMEOUT = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/shots"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cells = [new_code_cell(source) for source in (SETUP, *CHARTS.values())]
        nbformat.write(new_notebook(cells=cells), Path(folder) / "shots.ipynb")
        with Lab(folder, scale=1.5) as lab:
            shoot(lab.open("shots.ipynb"), arguments.out)
            cells = [new_code_cell(source) for source in (PEOPLE, "ada.editor()", "bob.editor()")]
            nbformat.write(new_notebook(cells=cells), Path(folder) / "people.ipynb")
            shoot_people(lab.open("people.ipynb"), arguments.out)
            cells = [new_code_cell(source) for source in (SYSTEMS, *SHOWN)]
            nbformat.write(new_notebook(cells=cells), Path(folder) / "systems.ipynb")
            shoot_systems(lab.open("systems.ipynb"), arguments.out)


def shoot(page: NotebookPage, out: Path) -> None:
    """Write the pictures of one notebook."""
    page.run_all()
    for index, name in enumerate(CHARTS, start=1):
        await_picture(page, index)
        for theme in ("light", "dark"):
            page.set_theme(theme)
            page.page.wait_for_timeout(400)  # a live picture is drawn anew in the theme's colours
            print(page.screenshot(out / f"{name}-{theme}.png", index))
    page.set_theme("light")
    page.page.set_viewport_size({"width": 480, "height": 900})
    for name in NARROW:
        index = 1 + list(CHARTS).index(name)
        await_picture(page, index)
        page.page.wait_for_timeout(1000)
        print(page.screenshot(out / f"{name}-narrow.png", index))
    for problem in page.problems:
        raise SystemExit(problem)


def shoot_people(page: NotebookPage, out: Path) -> None:
    """Write the pictures of a document in which two people type."""
    page.run_all()
    boxes = [page.cell(index).get_by_role("textbox", name="document notes") for index in (1, 2)]
    for box, line, words in ((boxes[0], "oat milk", ", 2 l"), (boxes[1], "Who brings", " I do!")):
        box.locator(".cm-line", has_text=line).click(timeout=TIMEOUT * 1000)
        box.press("End")
        box.press_sequentially(words)
    for box in boxes:
        box.get_by_text("I do!").wait_for(timeout=TIMEOUT * 1000)
        box.locator(".rtw-cursor-name").wait_for(timeout=TIMEOUT * 1000)
    for theme in ("light", "dark"):
        page.set_theme(theme)
        page.page.wait_for_timeout(400)
        print(page.screenshot(out / f"editor-{theme}.png", 1))
    page.set_theme("light")
    page.page.set_viewport_size({"width": 480, "height": 900})
    page.page.wait_for_timeout(400)
    print(page.screenshot(out / "editor-narrow.png", 2))
    for problem in page.problems:
        raise SystemExit(problem)


def shoot_systems(page: NotebookPage, out: Path) -> None:
    """Write the pictures of the widgets of a platform."""
    page.run_all()
    for index, (name, said) in enumerate(SHOWN.items(), start=1):
        page.cell(index).scroll_into_view_if_needed()
        page.cell(index).get_by_text(said).last.wait_for(timeout=TIMEOUT * 1000)
        for theme in ("light", "dark"):
            page.set_theme(theme)
            page.page.wait_for_timeout(400)
            print(page.screenshot(out / f"{name}-{theme}.png", index))
    for problem in page.problems:
        raise SystemExit(problem)


def await_picture(page: NotebookPage, index: int) -> None:
    """Wait until a cell's chart says that it is live; the status has nothing to wait for."""
    page.cell(index).scroll_into_view_if_needed()
    words = page.cell(index).locator(".rtw-words")
    deadline = time.monotonic() + TIMEOUT
    while not all("rows/s" in each for each in words.all_inner_texts()):
        if time.monotonic() > deadline:
            raise SystemExit(f"cell {index} was not drawn: {words.all_inner_texts()}")
        page.page.wait_for_timeout(50)


if __name__ == "__main__":
    main()

"""Tables of a web page, as many reporting systems export them under the name .xls."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_SPAN_LIMIT = 1000


@dataclass
class PageTable:
    """Collect one table."""

    cells: dict[tuple[int, int], str] = field(default_factory=dict)  # (row, column) -> text
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)  # (top, left, bottom, right)
    rows: int = 0  # its size
    columns: int = 0  # its size


def read_tables(text: str, most: int) -> list[PageTable]:
    """Find the tables of a page.

    Assumes that tables inside tables are layout: the inner ones are read as tables of their own.

    Parameters
    ----------
    text : str
        The page.
    most : int
        How many cells a table may have; a larger one is cut after it, so that its size tells.

    Returns
    -------
    list of PageTable
        In the order of the page; empty ones left out.

    Examples
    --------
    >>> table = read_tables("<table><tr><td colspan=2>2019年<tr><td>a<td>&lt;b&gt;</table>", 100)[0]
    >>> table.cells, table.merged
    ({(0, 0): '2019年', (1, 0): 'a', (1, 1): '<b>'}, [(0, 0, 0, 1)])
    """
    parser = _Parser(most)
    parser.feed(text)
    parser.close()
    parser.finish()
    return [table for table in parser.tables if table.cells]


class _Parser(HTMLParser):
    def __init__(self, most: int) -> None:
        super().__init__(convert_charrefs=True)
        self.most = most
        self.tables: list[PageTable] = []
        self.open: list[dict[str, Any]] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style"}:
            self.silent += 1
        if tag == "table":
            self.tables.append(PageTable())
            self.open.append(
                {"table": self.tables[-1], "row": -1, "column": 0, "taken": set(), "text": None, "at": None}
            )
        if not self.open:
            return
        state = self.open[-1]
        if tag == "tr":
            self.close_cell()
            state["row"] += 1
            state["column"] = 0
        elif tag in {"td", "th"}:
            self.close_cell()
            state["row"] = max(state["row"], 0)
            self.open_cell(state, dict(attrs))
        elif tag in {"br", "p", "div"} and state["text"]:
            state["text"].append("\n")

    def open_cell(self, state: dict[str, Any], values: dict[str, str | None]) -> None:
        table, row, column = state["table"], state["row"], state["column"]
        while (row, column) in state["taken"]:
            column += 1
        down, across = (_span(values.get(name)) for name in ("rowspan", "colspan"))
        table.rows, table.columns = max(table.rows, row + 1), max(table.columns, column + across)
        if table.rows * table.columns > self.most:
            return
        if down * across > 1 and down * across <= self.most:
            table.merged.append((row, column, row + down - 1, column + across - 1))
            state["taken"].update((row + i, column + j) for i in range(down) for j in range(across))
        state.update(column=column + across, text=[], at=(row, column))

    def close_cell(self) -> None:
        state = self.open[-1]
        if state["text"] is not None:
            text = "".join(state["text"]).strip(" \t\r\n")
            if text:
                state["table"].cells[state["at"]] = text
                state["table"].rows = max(state["table"].rows, state["at"][0] + 1)
        state["text"] = None

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self.silent = max(self.silent - 1, 0)
        if not self.open:
            return
        if tag in {"td", "th", "tr", "table"}:
            self.close_cell()
        if tag == "table":
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1]["text"] is not None and not self.silent:
            self.open[-1]["text"].append(data)

    def finish(self) -> None:
        while self.open:
            self.close_cell()
            self.open.pop()


def _span(text: str | None) -> int:
    return min(max(int(text), 1), _SPAN_LIMIT) if text and text.strip().isdigit() and len(text) < 9 else 1

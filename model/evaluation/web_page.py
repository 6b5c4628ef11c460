"""The report as one HTML file: the verdict, every figure and every plot, nothing to fetch."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from model.errors import DataError
from model.evaluation import plots
from model.evaluation.plots import Draw
from model.evaluation.report import Row, tables
from model.evaluation.run import Judged
from model.evaluation.verdict import Verdict, sentences
from model.printable import printable
from model.scratch import whole_file

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; margin: 1.5rem 0; width: 100% }
th, td { border-bottom: 1px solid #e4e4e4; padding: .2rem .5rem; text-align: right }
th:first-child, td:first-child { text-align: left }
td[colspan] { font-weight: bold }
svg { height: auto; max-width: 100% }
"""
_PROLOGUE = re.compile(r"\A.*?(?=<svg)", re.DOTALL)  # XML declaration and document type


def write_page(
    path: Path, title: str, judged: Judged, verdict: Verdict, figures: Mapping[str, Draw]
) -> None:
    """Write the page; raises ``DataError`` if it cannot be written."""
    said = "".join(f"<p>{escape(line)}</p>\n" for line in sentences(verdict))
    listed = "".join(map(_table, tables(judged.evaluation)))
    drawn = "".join(
        f'<section id="{escape(name)}">{_PROLOGUE.sub("", plots.svg(draw))}</section>\n'
        for name, draw in figures.items()
    )
    shown = escape(printable(title))
    page = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{shown}</title>\n<style>{STYLE}</style>\n"
        f"<h1>{shown}</h1>\n{said}{listed}{drawn}</html>\n"
    )
    try:
        with whole_file(path) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another") from None


def _table(rows: list[Row]) -> str:
    head, *body = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in body:
        if len(row) == 1:
            lines.append(f'<tr><td colspan="{len(head)}">{escape(row[0])}</td></tr>')
        else:
            lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>\n"

"""Online Retail (UCI): a year of a British gift shop's invoices; purchases only.

Columns as published: ``InvoiceNo``, ``StockCode``, ``Description``, ``Quantity``, ``InvoiceDate``,
``UnitPrice`` (pounds), ``CustomerID``, ``Country``. Online Retail II, two years of the same shop,
calls three of them ``Invoice``, ``Price`` and ``Customer ID``. A compact copy has ``time``,
``customer``, ``invoice``, ``item``, ``quantity``, ``price``, and a separate file of ``item`` and
``description``. Times are local time in Britain, to the minute.

Every line is a buy by the customer. Without a customer, the invoice is the user, as for a shopper
without an account, whose user id is the session's. Not events: cancelled invoices (``C…``),
accounting corrections (``A…``), returns, lines without a price (stock found or given away), and
stock codes that are not goods, such as postage, discounts, bank charges and vouchers. The codes
of goods have five digits, or ``DCGS`` and a design.

One invoice may contain the same line twice; that is not a duplicate, so the line's position in
the invoice file is part of its ``event_id``.
"""

import re
import sys
from functools import cache
from shlex import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from model.data.log import Item
from model.errors import DataError
from model.formats.table import Event, Format, Row, RowError, Table, iso_ms, number

GOODS = re.compile(r"\d{5}|DCGS")
AMERICAN = re.compile(r"(\d+)/(\d+)/(\d{4}) (\d+):(\d\d)")
PUBLISHED = {
    "time": "InvoiceDate",
    "customer": "CustomerID",
    "invoice": "InvoiceNo",
    "item": "StockCode",
    "quantity": "Quantity",
    "price": "UnitPrice",
}
SECOND = {"invoice": "InvoiceNo", "price": "UnitPrice", "customerid": "CustomerID"}


def to_event(row: Row) -> Event:
    """The event of one line of an invoice, in the compact copy."""
    invoice = row["invoice"]
    if invoice.startswith("C"):
        raise RowError("the invoice is cancelled")
    if invoice.startswith("A"):
        raise RowError("a correction of the books, no sale")
    if not GOODS.match(row["item"]):
        raise RowError("the stock code is no goods")
    quantity, price = number(row["quantity"]), number(row["price"])
    if quantity is None or quantity <= 0:
        raise RowError("the quantity is not above zero")
    if price is None or price <= 0:
        raise RowError("the price is not above zero")
    customer = row["customer"].removesuffix(".0")  # as pandas writes a column with gaps
    return {
        "user_id": customer or f"invoice-{invoice}",
        "item_id": row["item"],
        "action": "buy",
        "ts": iso_ms(_iso(row["time"]), _britain()),
        "session_id": invoice,
        "price": price,
        "quantity": quantity,
    }


def published_to_event(row: Row) -> Event:
    """The event of one line of an invoice, in the file as published."""
    return to_event({ours: row[theirs] for ours, theirs in PUBLISHED.items()})


def to_item(row: Row) -> Item:
    """The item of one row of the item file; the shop has no categories."""
    return Item(row["item"], None, row["description"])


def published_to_item(row: Row) -> Item | None:
    """The item of one line of an invoice, if it has a price: others describe no goods."""
    goods = GOODS.match(row["StockCode"]) and (number(row["UnitPrice"]) or 0) > 0
    return Item(row["StockCode"], None, row["Description"].strip()) if goods else None


@cache
def _britain() -> ZoneInfo:
    try:
        return ZoneInfo("Europe/London")
    except ZoneInfoNotFoundError as error:
        command = f"{quote(sys.executable)} -m pip install tzdata"
        raise DataError(f"this machine has no time zone data; run `{command}`") from error


def _iso(time: str) -> str:
    """The time as ISO 8601; some copies of the published file use the American format."""
    american = AMERICAN.fullmatch(time)
    if american is None:
        return time
    month, day, year, hour, minute = american.groups()
    return f"{year}-{month:0>2}-{day:0>2} {hour:0>2}:{minute}"


FORMAT = Format(
    "UCI Online Retail, I and II: invoice lines, all of them buys",
    (
        Table(tuple(PUBLISHED.values()), published_to_event, published_to_item, aliases=SECOND),
        Table(tuple(PUBLISHED), to_event),
        Table(("item", "description"), to_item=to_item),
    ),
    repeats=True,
)

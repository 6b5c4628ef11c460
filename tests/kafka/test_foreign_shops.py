"""Other shops: logs in foreign columns become scores by what the README and docs/training.md say.

Six exports of one shop, each in another dialect with names of its own, are converted, trained on
together and replayed. The shop keeps GA4's names of actions, as `--intent` allows. Nothing but the
commands of the documents is used.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from model.synthetic.shop import Shop
from tests.kafka.broker import free_port
from tests.kafka.client import Client
from tests.kafka.conftest import OpenStage
from tests.kafka.shell import Shell
from tests.kafka.stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

FIRST_MS = 1_790_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")
# Training is not what is tried here.
SHORT = "--network gru --epochs 1 --dim 8 --horizon-s 60 --no-refit"
Log = list[dict[str, Any]]


def moment(event: dict[str, Any]) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event["ts"])


def table(rows: Iterator[tuple[Any, ...]], header: tuple[str, ...], delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def german(path: Path, log: Log) -> None:
    """Semicolons, dates and decimal commas, as a workbook saves them."""
    names = {"view_item": "Ansicht", "add_to_cart": "Warenkorb", "purchase": "Kauf"}
    rows = (
        (f"K-{e['user_id']}", e["item_id"], names[e["action"]], f"{local:%d.%m.%Y %H:%M:%S}", price)
        for e in log
        for local, price in [(moment(e).astimezone(BERLIN), f"{e['price']:.2f}".replace(".", ","))]
    )
    header = ("Kundennr", "Artikelnummer", "Ereignis", "Zeitpunkt", "Preis (EUR)")
    path.write_text(table(rows, header, ";"), encoding="utf-16")


def warehouse(path: Path, log: Log) -> None:
    """Parquet with integer ids, zoned time stamps and decimals, as a warehouse exports them."""
    users = {user: number for number, user in enumerate(sorted({e["user_id"] for e in log}), 1)}
    pl.DataFrame(
        {
            "CustomerKey": pl.Series([users[e["user_id"]] for e in log], dtype=pl.UInt32),
            "ProductCode": pl.Series([e["item_id"] for e in log], dtype=pl.Categorical),
            "EventType": [e["action"].upper() for e in log],
            "OccurredAt": pl.Series([moment(e) for e in log], dtype=pl.Datetime("ns", "UTC")),
            "UnitPrice": pl.Series([e["price"] for e in log]).cast(pl.Decimal(12, 2)),
        }
    ).with_columns(pl.col("OccurredAt").dt.convert_time_zone("America/New_York")).write_parquet(
        path
    )


def tracker(path: Path, log: Log) -> None:
    """Tabs, packed, with seconds that have a fraction, as a web tracker writes them."""
    names = {"view_item": "page_view", "add_to_cart": "add", "purchase": "order"}
    rows = ((e["ts"] / 1000, f"t{e['user_id']}", names[e["action"]], e["item_id"]) for e in log)
    text = table(rows, ("epoch", "visitor", "hit", "sku"), "\t")
    path.write_bytes(gzip.compress(text.encode()))


def events_api(path: Path, log: Log) -> None:
    """Lines of JSON whose names look nested, with ISO 8601."""
    names = {
        "view_item": "product.viewed",
        "add_to_cart": "cart.item_added",
        "purchase": "order.completed",
    }
    lines = (
        {
            "context.user.id": f"n{e['user_id']}",
            "properties.product_id": e["item_id"],
            "name": names[e["action"]],
            "timestamp": moment(e).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "properties": {"price": e["price"], "tags": ["web"]},
        }
        for e in log
    )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def orders(path: Path, log: Log) -> None:
    """Purchases alone, without a column that says so, with days in the American order."""
    rows = ((f"o{e['user_id']}", e["item_id"], f"{moment(e):%m/%d/%Y %I:%M:%S %p}") for e in log)
    path.write_text(table(rows, ("Buyer Email", "ASIN", "Order Date"), ","))


def analytics(path: Path, log: Log) -> None:
    """GA4's names of actions, and microseconds."""
    rows = ((e["user_id"], e["item_id"], e["action"], e["ts"] * 1000) for e in log)
    header = ("user_pseudo_id", "item_id", "event_name", "event_timestamp")
    path.write_text(table(rows, header, ","))


GA4 = {"click": "view_item", "cart": "add_to_cart", "buy": "purchase"}


class Export(NamedTuple):
    """An export: its file, who writes it, what tells its users from others, and its command."""

    name: str
    write: Callable[[Path, Log], None]
    user: Callable[[str], bool]
    options: str


EXPORTS = (
    Export(
        "webshop.csv",
        german,
        lambda user: user.startswith("K-"),
        "--map user_id=Kundennr --map item_id=Artikelnummer --map action=Ereignis "
        "--map ts=Zeitpunkt --map 'price=Preis (EUR)' --action Ansicht=view_item "
        "--action Warenkorb=add_to_cart --action Kauf=purchase --time-format '%d.%m.%Y %H:%M:%S' "
        "--zone Europe/Berlin",
    ),
    Export(
        "warehouse.parquet",
        warehouse,
        str.isdecimal,
        "--map user_id=CustomerKey --map item_id=ProductCode --map action=EventType "
        "--map ts=OccurredAt --map price=UnitPrice "
        "--action VIEW_ITEM=view_item --action ADD_TO_CART=add_to_cart "
        "--action PURCHASE=purchase",
    ),
    Export(
        "tracker.tsv.gz",
        tracker,
        lambda user: user.startswith("t"),
        "--map user_id=visitor --map item_id=sku --map action=hit --map ts=epoch "
        "--action page_view=view_item --action add=add_to_cart --action order=purchase "
        "--time-format s",
    ),
    Export(
        "events-api.json",
        events_api,
        lambda user: user.startswith("n"),
        "--map user_id=context.user.id --map item_id=properties.product_id --map action=name "
        "--map ts=timestamp --action product.viewed=view_item --action cart.item_added=add_to_cart "
        "--action order.completed=purchase",
    ),
    Export(
        "orders.csv",
        orders,
        lambda user: user.startswith("o"),
        "--map 'user_id=Buyer Email' --map item_id=ASIN --map 'ts=Order Date' --action purchase "
        "--time-format '%m/%d/%Y %I:%M:%S %p'",
    ),
    Export(
        "ga4.csv",
        analytics,
        lambda user: user.startswith("shopper"),
        "--map user_id=user_pseudo_id --map action=event_name --map ts=event_timestamp "
        "--time-format us",
    ),
)


def shop_log(seed: int, count: int) -> Log:
    """What happened, in order of time, at a price of each item."""
    events = Shop(seed=3, n_items=40, n_categories=4).events(12, FIRST_MS + seed, events_per_s=1)
    return [
        e | {"action": GA4[e["action"]], "price": 1 + int(e["item_id"][1:]) / 4}
        for e in islice(events, count)
    ]


def what_happened(log: Log, *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(event[name] for name in names) for event in log)


def read(path: Path) -> Log:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def open_shell(stage: Stage, folder: Path, **settings: str) -> Shell:
    return Shell(
        folder,
        {
            **stage.settings,
            "bootstrap": stage.client.bootstrap,
            "http": f"127.0.0.1:{free_port()}",
            **settings,
        },
        OMP_NUM_THREADS="1",
    )


def last_scores(client: Client, topic: str) -> dict[str, dict[str, Any]]:
    return {
        record.key.decode(): json.loads(record.value)
        for record in client.read(topic)
        if record.key and record.value
    }


def serve(stage: Stage, shell: Shell, logs: str, users: set[str]) -> dict[str, dict[str, Any]]:
    """Start the worker, replay the logs, and give the last scores once all users have one."""
    try:
        shell.do("lately worker --artifact my-model --state-dir .lately/state")
        shell.wait_ready()
        shell.do(f"lately replay {logs} --speed max")
        shell.wait(stage.committed_all, 60.0, "commit of all events")
        shell.end("lately worker")
    finally:
        shell.close()
    assert stage.client.read(stage.dead) == []
    scores = last_scores(stage.client, stage.scores)
    assert scores.keys() == users
    assert {score["model"]["name"] for score in scores.values()} == {"lately"}
    assert {score["quality"] for score in scores.values()} == {"full"}
    return scores


def test_six_exports_of_a_shop_become_one_model_and_its_scores(
    open_stage: OpenStage, tmp_path: Path
) -> None:
    actions = ",".join(GA4.values())
    stage = open_stage()
    shell = open_shell(stage, tmp_path, actions=actions)
    log = shop_log(0, 240)
    for export in EXPORTS:
        export.write(tmp_path / export.name, log)
        out = tmp_path / f"{export.name}.events.jsonl"
        shell.do(f"lately convert table {export.name} {export.options} --out {out.name}")

        # The same happened to the same items at the same time, whatever the export calls it.
        converted = read(out)
        expected = log
        if export.write is orders:
            expected = [e | {"action": "purchase"} for e in log]
        if export.write in (german, orders):
            expected = [e | {"ts": e["ts"] // 1000 * 1000} for e in expected]
        same = ("item_id", "action", "ts") + (("price",) if "price=" in export.options else ())
        assert what_happened(converted, *same) == what_happened(expected, *same)
        assert all(export.user(event["user_id"]) for event in converted)
    logs = " ".join(f"{export.name}.events.jsonl" for export in EXPORTS)

    shell.do(
        f"lately train {logs} --out my-model {SHORT} --actions {actions} "
        "--intent cart=add_to_cart --intent buy=purchase"
    )
    users = {e["user_id"] for x in EXPORTS for e in read(tmp_path / f"{x.name}.events.jsonl")}
    scores = serve(stage, shell, logs, users)

    assert {len(score["items"]) for score in scores.values()} == {20}
    assert set(next(iter(scores.values()))["intent"]) == {"cart", "buy", "horizon_s"}

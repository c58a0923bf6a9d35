"""Reconciliation heals lost webhooks; a backfill loads a range with visible progress."""

import json
import time

from harness import check_stream, last_by_order, money, wait_for

SETTINGS = {"cabinet": {"poll.interval": "5s"}}


def test_sweep_heals_a_lost_webhook(suite):
    deals = suite.deals()
    suite.faults(0, drop_webhooks=True)
    lost = suite.create(0, sum=12300.0)
    event = wait_for("the lost deal", lambda: last_by_order(deals.messages()).get(lost), timeout=40)
    assert money(event.deal) == 123 * 10**9
    from harness import pb
    assert event.cause == pb["deal"].Cause.CAUSE_RECONCILIATION
    suite.faults(0)
    time.sleep(6)
    check_stream(deals.messages(1))


def test_backfill_loads_a_range_and_shows_progress(suite):
    deals = suite.deals()
    suite.faults(1, drop_webhooks=True)
    suite.suite.dealctl("integration", "deactivate", suite.links[1]["id"])
    old = [suite.create(1, sum=float(number)) for number in range(1, 91)]  # With those that it held, more than a page.
    suite.suite.dealctl("integration", "activate", suite.links[1]["id"])
    truth = suite.truth(1)
    first = min(order["created"] for order in truth.values() if not order.get("gone"))
    out = suite.suite.dealctl("backfill", suite.links[1]["id"], "--from", first[:10], "--follow", "--json", timeout=240).stdout
    last = json.loads(out.splitlines()[-1])
    assert last["state"].endswith("DONE") and int(last["listed"]) > 100
    wait_for("all deals", lambda: set(old) <= set(last_by_order(deals.messages())), timeout=60)
    assert not suite.violations()
    suite.faults(1)
    check_stream(deals.messages())

"""One tenant never holds up another."""

import time

import pytest
from harness import check_stream, last_by_order, pb, wait_for

# One more than crm.notice.<crm> has partitions: two of them share one.
ACCOUNTS = 13


@pytest.fixture(scope="module")
def neighbours(suite):
    """Two accounts whose work lies in one partition, where one could hold up the other."""
    notices = suite.reader("crm.notice.moysklad", pb["raw"].Notice)
    numbers = {link["crm_account_id"]: number for number, link in enumerate(suite.links)}
    for number in numbers.values():
        suite.create(number, sum=1.0)

    def pair():
        accounts = {}
        for record, _ in notices.poll():
            accounts.setdefault(record.partition(), set()).add(numbers[record.key().decode()])
        return next((sorted(together)[:2] for together in accounts.values() if len(together) > 1), None)
    return wait_for("two accounts in one partition", pair)


def seconds_until_event(suite, deals, link):
    started = time.monotonic()
    order = suite.create(link, sum=100.0)
    wait_for(f"the deal of account {link}", lambda: order in last_by_order(deals.messages(0.05)), timeout=30, every=0.01)
    return time.monotonic() - started


def check_other_keeps_its_latency(suite, deals, neighbours, **fault):
    failing, healthy = neighbours
    suite.faults(failing, **fault)
    stuck = [suite.create(failing, sum=1.0) for _ in range(5)]
    time.sleep(0.5)
    slow = [seconds_until_event(suite, deals, healthy) for _ in range(3)]
    assert max(slow) < 3, f"the healthy account waited {slow}"
    suite.faults(failing)
    # The failing account's deals come once it recovers: parked, not lost.
    wait_for("the stuck deals", lambda: set(stuck) <= set(last_by_order(deals.messages())), timeout=120)


def test_account_that_answers_500(suite, neighbours):
    deals = suite.deals()
    seconds_until_event(suite, deals, neighbours[1])
    check_other_keeps_its_latency(suite, deals, neighbours, status=500)


def test_account_that_hangs(suite, neighbours):
    deals = suite.deals()
    check_other_keeps_its_latency(suite, deals, neighbours, hang=True)
    suite.wait_books("crm-reader", timeout=60)
    check_stream(deals.messages())


def test_account_that_answers_html(suite, neighbours):
    deals = suite.deals()
    check_other_keeps_its_latency(suite, deals, neighbours, html=True)


def test_two_integrations_share_one_limit(suite):
    """Two integrations that one customer has with one account of the CRM stay within its limit together."""
    import json
    from suite import http_json
    first = suite.links[2]
    # The reader spends 0.7 of 45 units at 4 a call on a customer's share of an account: 7 calls in 3 s. This
    # CRM allows 10 at 3, so 7 for each integration would be too many.
    http_json(suite.simulator + "/_sim/settings", {"units": 30})
    second = json.loads(suite.suite.dealctl("integration", "add", "--crm", "moysklad", "--purpose", "deals", "--credential", first["credential"],
                                            "--account", "tenant-2", "--json").stdout)
    from harness import http_get_method
    wait_for("the door knows it", lambda: http_get_method(second["webhook_url"], "DELETE") == 405)
    http_json(suite.simulator + "/_sim/webhook", {"account": first["account"], "url": second["webhook_url"]})
    deals = suite.deals()
    orders = [suite.create(2, sum=float(number)) for number in range(1, 21)]

    def both():
        ids = {event.deal.id for event in deals.messages()}
        return all(f"{integration}:{order}" in ids for integration in (first["id"], second["id"]) for order in orders)
    wait_for("both integrations have all deals", both, timeout=180)
    assert not suite.violations()
    http_json(suite.simulator + "/_sim/settings", {"units": 45})

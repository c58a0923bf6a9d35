"""One tenant never holds up another."""

import time

from harness import check_stream, last_by_order, wait_for

ACCOUNTS = 3


def seconds_until_event(suite, deals, link):
    started = time.monotonic()
    order = suite.create(link, sum=100.0)
    wait_for(f"the deal of account {link}", lambda: order in last_by_order(deals.messages(0.05)), timeout=30, every=0.01)
    return time.monotonic() - started


def committed_lag(suite):
    return suite.metric("crm-reader-moysklad", "kafka_consumer_lag_messages")


def check_other_keeps_its_latency(suite, deals, **fault):
    suite.faults(0, **fault)
    stuck = [suite.create(0, sum=1.0) for _ in range(5)]
    time.sleep(0.5)
    slow = [seconds_until_event(suite, deals, 1) for _ in range(3)]
    assert max(slow) < 3, f"the healthy account waited {slow}"
    suite.faults(0)
    # The failing account's deals come once it recovers: parked, not lost.
    wait_for("the stuck deals", lambda: set(stuck) <= set(last_by_order(deals.messages())), timeout=120)


def test_account_that_answers_500(suite):
    deals = suite.deals()
    seconds_until_event(suite, deals, 1)
    check_other_keeps_its_latency(suite, deals, status=500)


def test_account_that_hangs(suite):
    deals = suite.deals()
    check_other_keeps_its_latency(suite, deals, hang=True)
    suite.wait_books("crm-reader", timeout=60)
    check_stream(deals.messages())


def test_account_that_answers_html(suite):
    deals = suite.deals()
    check_other_keeps_its_latency(suite, deals, html=True)


def test_two_integrations_share_one_limit(suite):
    """Two integrations on one account of the CRM stay within its limit together."""
    import json
    from suite import http_json
    first = suite.links[2]
    second = json.loads(suite.suite.dealctl("integration", "add", "--crm", "moysklad", "--purpose", "deals", "--credential", first["credential"],
                                            "--account", "another-tenant", "--json").stdout)
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

"""From a webhook to a subscriber, on the embedded broker: what each promise of the MoySklad document looks like."""

import time
import urllib.request

import pytest
from harness import Kind, check_stream, http_get_method, last_by_order, money, pb, wait_for


@pytest.fixture(scope="module")
def deals(suite):
    return suite.deals()


def event_of(deals, order, check, timeout=20):
    def find():
        found = last_by_order(deals.messages()).get(order)
        return found if found is not None and check(found) else None
    return wait_for(f"an event of order {order}", find, timeout)


def test_order_becomes_a_deal_event(suite, deals):  # M1 M2 M3 M4
    order = suite.create(sum=395810.0)
    event = event_of(deals, order, lambda event: True)
    deal = event.deal
    assert event.kind == Kind.DEAL_EVENT_KIND_CREATED
    assert deal.id == f"{suite.links[0]['id']}:{order}"
    assert deal.crm == "moysklad" and deal.account_id == "tenant-0"
    assert money(deal) == 3958_100_000_000 and deal.amount.currency_code == "RUB"
    assert deal.pipeline.name == "Заказы покупателей"
    assert deal.stage.name and deal.stage.kind
    assert deal.title and deal.created_at.seconds and deal.updated_at.seconds
    assert deal.contacts and deal.contacts[0].name
    assert event.notice_ids, "a webhook led to it"
    assert "title" in event.changed and "amount" in event.changed


def test_headers_are_cloud_events(suite, deals):
    order = suite.create(sum=100.0)
    event = event_of(deals, order, lambda event: True)
    record = next(record for record, message in deals.seen if message is not None and message.id == event.id)
    headers = {key: value.decode() for key, value in record.headers()}
    assert headers["ce_specversion"] == "1.0" and headers["ce_id"] == event.id
    assert headers["ce_source"] == f"/crm/moysklad/integrations/{suite.links[0]['id']}"
    assert headers["ce_type"] == "dealstream.deal.changed.v1" and headers["ce_subject"] == event.deal.id
    assert headers["ce_dataschema"].endswith("dealstream.deal.v1.DealEvent") and headers["content-type"] == "application/protobuf"
    assert headers["traceparent"].count("-") == 3
    assert record.key().decode() == event.deal.id


def test_stage_move_tells_the_stage_before(suite, deals):  # M2
    states = suite.states()
    order = suite.create(state=states[0]["name"])
    event_of(deals, order, lambda event: event.deal.stage.name == states[0]["name"])
    won = next(state for state in states if state["stateType"] == "Successful")
    suite.change(order, state=won["name"])
    event = event_of(deals, order, lambda event: event.deal.stage.name == won["name"])
    assert event.kind == Kind.DEAL_EVENT_KIND_UPDATED and "stage" in event.changed
    assert event.previous_stage.name == states[0]["name"]
    assert event.deal.stage.kind == pb["deal"].StageKind.STAGE_KIND_WON


def test_bin_restore_and_deletion(suite, deals):
    order = suite.create(sum=5000.0)
    event_of(deals, order, lambda event: True)
    suite.trash(order)
    event = event_of(deals, order, lambda event: event.deal.deleted)
    assert event.kind == Kind.DEAL_EVENT_KIND_DELETED and money(event.deal) == 50 * 10**9
    suite.restore(order)
    event_of(deals, order, lambda event: not event.deal.deleted)
    suite.delete(order)
    event = event_of(deals, order, lambda event: event.deal.deleted)
    assert event.kind == Kind.DEAL_EVENT_KIND_DELETED and money(event.deal) == 50 * 10**9


def test_snapshot_has_the_last_deal_and_a_tombstone(suite, deals):
    order = suite.create(sum=700.0)
    event = event_of(deals, order, lambda event: True)
    snapshots = suite.reader("deals.snapshot.v1", pb["deal"].Deal)
    mine = lambda: [message for record, message in snapshots.poll() if record.key().decode() == event.deal.id]
    wait_for("a snapshot", lambda: mine() and mine()[-1] == event.deal)
    suite.delete(order)
    wait_for("a tombstone", lambda: mine()[-1] is None)


def test_repeated_and_reordered_webhooks_change_nothing(suite, deals):
    order = suite.create(sum=100.0)
    event_of(deals, order, lambda event: True)
    suite.faults(duplicate_webhooks=True)
    for amount in (200.0, 300.0, 400.0):
        suite.change(order, sum=amount)
    event_of(deals, order, lambda event: money(event.deal) == 4 * 10**9)
    suite.faults()
    time.sleep(1)
    check_stream(deals.messages(1))


def test_door_refuses_what_it_does_not_know(suite):
    url = suite.links[0]["webhook_url"]
    assert http_get_method(url.rsplit("/", 1)[0] + "/" + "A" * 43, "POST") == 404
    assert http_get_method(url, "DELETE") == 405


def test_unreadable_webhook_is_accepted_and_ends_as_a_dead_letter(suite):
    before = suite.metric("crm-reader-moysklad", "dead_letters_total")
    request = urllib.request.Request(suite.links[0]["webhook_url"], data=b"\x00{not json", method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204 and answer.headers["x-notice-id"]
        notice = answer.headers["x-notice-id"]
    wait_for("a dead letter", lambda: suite.metric("crm-reader-moysklad", "dead_letters_total") == before + 1)
    letters = suite.reader("dlq.crm-reader.moysklad", pb["raw"].DeadLetter)
    letter = wait_for("the dead letter", lambda: [message for message in letters.messages() if notice.encode() in message.value])[0]
    assert letter.stage == "decode" and letter.reason and letter.message
    original = pb["raw"].Notice()
    original.ParseFromString(letter.value)
    assert original.body == b"\x00{not json", "kept whole"


def test_inactive_integration_is_answered_and_not_stored(suite):
    url = suite.links[1]["webhook_url"]
    suite.suite.dealctl("integration", "deactivate", suite.links[1]["id"])
    accepted = lambda: suite.metric("webhook-ingest", "webhooks_accepted_total")

    def ignored():
        before = accepted()
        with urllib.request.urlopen(urllib.request.Request(url, data=b"{}", method="POST")) as answer:
            assert answer.status == 204
        return accepted() == before
    wait_for("an inactive integration's webhooks are not stored", ignored)
    suite.suite.dealctl("integration", "activate", suite.links[1]["id"])


def test_metrics_books_balance(suite, deals):
    for _ in range(10):
        suite.create(sum=100.0)
    wait_for("ten more deals", lambda: len(last_by_order(deals.messages())) >= 10)
    suite.wait_books("crm-reader")
    suite.wait_books("deal-normalizer")
    check_stream(deals.messages())
    assert not suite.violations()


def test_probes_answer(suite):
    from suite import http_get
    for name, known in suite.suite.addresses.items():
        if "admin" in known:
            for path in ("/livez", "/readyz", "/metrics"):
                assert http_get(f"http://{known['admin']}{path}")[0] == 200, f"{name} {path}"

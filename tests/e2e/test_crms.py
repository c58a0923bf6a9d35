"""Each CRM end to end: what happens to its deals is what the deal events say, whatever becomes of its webhooks and answers."""

import threading
import time

import pytest
from harness import check_stream, differences, http_json, last_by_order, pb, wait_for
from suite import declared_crms

CRMS = declared_crms()
# Those that tell of deals only when they are asked.
POLLED = {"hollihop"}
# Those that hold requests.
REQUESTED = {"klientiks"}


class Polling(threading.Thread):
    """Orders a pass for each account every other second, as an operator would by `dealctl poll-now`."""

    def __init__(self, suite):
        super().__init__(daemon=True)
        self.suite, self.stopping = suite, threading.Event()

    def run(self):
        while not self.stopping.wait(2):
            for link in range(len(self.suite.links)):
                self.suite.poll_now(link)

    def stop(self):
        self.stopping.set()
        self.join()


@pytest.fixture(scope="module")
def played(suite):
    """The scenario on all CRMs at the same time; what each account held before it, and requests of accounts, by CRM."""
    before, failures = {}, []

    def play(crm):
        try:
            suite.on(crm).simulate("everything", 0, 1)
        except Exception as error:  # pylint: disable=broad-except
            failures.append(f"{crm}: {error}")
    for crm in REQUESTED:
        side = suite.on(crm)
        for number, account in enumerate(http_json(side.simulator + "/_sim/accounts")):
            side.wait_hooks([side.connect(crm, side.simulator, account, tenant=f"tenant-{number}", purpose="requests")])
    for crm in CRMS:
        before[crm] = [set(suite.on(crm).truth(link)) for link in (0, 1)]
    polling = [Polling(suite.on(crm)) for crm in CRMS if crm in POLLED]
    players = [threading.Thread(target=play, args=(crm,)) for crm in CRMS]
    for thread in players + polling:
        thread.start()
    try:
        for player in players:
            player.join()
        assert not failures, failures
        yield before
    finally:
        for thread in polling:
            thread.stop()


@pytest.mark.parametrize("crm", CRMS)
def test_the_events_say_what_the_crm_holds(suite, played, crm):  # H1 H2 M1 M2 A1 A5 G1 G2 G6 K1 K2 K13
    side, deals = suite.on(crm), suite.deals()
    integrations = {link["id"] for link in side.links}
    events = lambda seconds=0.2: [event for event in deals.messages(seconds) if event.deal.integration_id in integrations]
    for link in (0, 1):
        # What an account held before is not announced, unless the CRM is asked for all there is.
        truth = {number: deal for number, deal in side.truth(link).items() if number not in played[crm][link] or crm in POLLED}
        assert len(truth) >= 6
        mine = lambda link=link: last_by_order(event for event in events() if event.deal.integration_id == side.links[link]["id"])
        wait_for("the events say what the CRM holds", lambda truth=truth, mine=mine: differences(mine(), truth, tells_deletion=crm not in POLLED), timeout=90)
    check_stream(events(1))
    assert {event.deal.crm for event in events()} == {crm}
    assert not side.violations(), side.violations()
    side.wait_books("crm-reader", timeout=60)
    side.wait_books("deal-normalizer")
    assert not side.metric(f"crm-reader-{crm}", "dead_letters_total") and not side.metric(f"deal-normalizer-{crm}", "dead_letters_total")


def test_a_payment_of_a_client_is_a_deal_of_its_own(suite, played):  # A2
    side, deals = suite.on("alfacrm"), suite.deals()
    lead = side.create(amount=300)
    http_json(f"{side.simulator}/_sim/deals/{lead}/convert", {})
    time.sleep(2)  # Its times are whole seconds.
    sale = http_json(f"{side.simulator}/_sim/deals/{lead}/pay", {"amount": 700})["pay"]
    pipelines = lambda: {number: event.deal.pipeline.name for number, event in last_by_order(deals.messages()).items() if number in (lead, sale)}
    wait_for("the sale", lambda: pipelines() == {lead: "Первая продажа", sale: "Допродажи"})
    last = last_by_order(deals.messages())
    assert last[sale].deal.amount.units == 700
    assert differences(last, {number: side.truth()[number] for number in (lead, sale)}) == []


@pytest.mark.parametrize("crm", sorted(REQUESTED))
def test_each_booking_is_a_request(suite, played, crm):  # K6 K7
    side, requests = suite.on(crm), suite.reader("requests.v1", pb["request"].RequestEvent)
    truth = {}
    for link in side.links:
        truth |= {request["id"]: request for request in http_json(f"{side.simulator}/_sim/requests?account={link['account']}")["requests"]}
    assert len(truth) >= 4
    wait_for("a request for each booking", lambda: set(truth) <= {event.request.external_id for event in requests.messages()}, timeout=60)
    time.sleep(1)
    seen = requests.messages(1)
    assert len(seen) == len(truth), "each once"
    for event in seen:
        request, true = event.request, truth[event.request.external_id]
        assert event.kind == pb["request"].RequestEventKind.REQUEST_EVENT_KIND_CREATED and request.crm == crm
        assert true["name"] in request.contact.name and [phone.e164 for phone in request.contact.phones] == [true["phone"]]
        assert request.created_at.ToMicroseconds() == true["created_us"]

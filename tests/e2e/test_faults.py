"""kill -9 and a broker that goes away, on Apache Kafka: every change once, in order, none lost."""

import http.client
import random
import threading
import time
import urllib.parse

import pytest
from harness import check_stream, last_by_order, pb, wait_for

pytestmark = pytest.mark.apache
ACCOUNTS = 4


class Life(threading.Thread):
    """Changes orders at random until told to stop."""

    def __init__(self, suite, per_second):
        super().__init__(daemon=True)
        self.suite, self.pause, self.stopping, self.orders = suite, 1 / per_second, threading.Event(), []
        self.failure = None

    def run(self):
        random.seed(5)
        try:
            while not self.stopping.wait(self.pause):
                if len(self.orders) < 12 or random.random() < 0.2:
                    self.orders.append(self.suite.create(random.randrange(ACCOUNTS), sum=float(random.randrange(1, 10**6))))
                else:
                    self.suite.change(random.choice(self.orders), sum=float(random.randrange(1, 10**6)))
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.join()
        assert self.failure is None, self.failure


def settled(suite, deals, ours, seconds=180):
    """Until the last event of every order is what the CRM holds."""
    def differing():
        last = last_by_order(deals.messages(0.5))
        wrong = []
        for link in range(ACCOUNTS):
            for order, truth in suite.truth(link).items():
                if order not in ours:
                    continue  # What the account held before is not announced.
                event = last.get(order)
                amount = None if event is None else (event.deal.amount.units * 10**9 + event.deal.amount.nanos) // 10**7
                if event is None or (not truth["deleted"] and amount != round(truth["sum"])):
                    wrong.append((order, truth["sum"], amount))
        return wrong
    wait_for("every deal is as the CRM has it", lambda: not differing(), timeout=seconds, every=0.5)


def test_killed_twenty_times_at_random(apache_suite):
    suite, deals = apache_suite, apache_suite.deals()
    life = Life(suite, per_second=8)
    life.start()
    chance = random.Random(11)
    victims = ["crm-reader-moysklad", "deal-normalizer-moysklad"]
    for number in range(20):
        time.sleep(chance.uniform(0.3, 2.5))
        process = suite.suite.processes[victims[number % 2] if number < 2 else chance.choice(victims)]
        process.kill()
        process.start()
        deals.poll(0.05)
    life.stop()
    suite.suite.wait_ready(*victims, timeout=120)
    settled(suite, deals, set(life.orders))
    check_stream(deals.messages(3))
    suite.wait_books("crm-reader", timeout=60)
    suite.wait_books("deal-normalizer", timeout=60)


def test_broker_away_for_ten_seconds(apache_suite, apache):
    """No 2xx without a stored notice, and recovery without help."""
    suite = apache_suite
    link = suite.links[0]
    url = urllib.parse.urlsplit(link["webhook_url"])
    accepted, statuses, stop = [], {}, threading.Event()

    def load(worker):
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        number = 0
        while not stop.wait(0.02):
            number += 1
            try:
                connection.request("POST", f"{url.path}?requestId={worker}-{number}", body=b'{"events":[]}', headers={"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
                if answer.status == 204:
                    accepted.append(answer.headers["x-notice-id"])
                elif answer.status == 503:
                    assert answer.headers["Retry-After"], "503 says when to come back"
            except OSError:
                statuses["reset"] = statuses.get("reset", 0) + 1
                connection.close()

    workers = [threading.Thread(target=load, args=(number,), daemon=True) for number in range(4)]
    for worker in workers:
        worker.start()
    time.sleep(2)
    apache.stop()
    time.sleep(10)
    refused = statuses.get(503, 0)
    apache.start()
    after = len(accepted)
    wait_for("webhooks are accepted again", lambda: len(accepted) > after + 20, timeout=90)
    stop.set()
    for worker in workers:
        worker.join()
    assert refused > 0, f"answers while the broker was away: {statuses}"
    assert set(statuses) <= {204, 503}, statuses
    notices = suite.reader("crm.notice.moysklad", pb["raw"].Notice)
    wait_for("every accepted notice is in the topic", lambda: set(accepted) <= {notice.id for notice in notices.messages(0.5)}, timeout=30)
    # The whole pipeline recovers too.
    deals = suite.deals()
    order = suite.create(1, sum=4200.0)
    wait_for("deals flow again", lambda: order in last_by_order(deals.messages()), timeout=120)
    check_stream(deals.messages(2))

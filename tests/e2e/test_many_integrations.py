"""A hundred thousand integrations: every service that keeps them starts in time and holds them in bounded memory.

DEALSTREAM_MANY_INTEGRATIONS  how many (100000); the numbers are printed (pytest -s) and kept in many.json.
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import sqlite3
import time

import confluent_kafka
import pytest
from harness import pb, wait_for
from suite import declared_crms, http_get

pytestmark = pytest.mark.apache  # The embedded broker keeps 5 MiB of a partition.
CRMS = declared_crms()
ACCOUNTS = 1
# Each would be swept by a credential that there isn't.
SETTINGS = {"cabinet": {"poll.interval": "744h"}}
COUNT = int(os.environ.get("DEALSTREAM_MANY_INTEGRATIONS", "100000"))
# A reader holds those of its CRM: three fifths are of one.
SHARES = {crm: 0.6 if crm == CRMS[-1] else 0.4 / (len(CRMS) - 1) for crm in CRMS}
# What a sanitizer costs is no fault of a service's.
START_SECONDS = 10 * float(os.environ.get("DEALSTREAM_LOAD_SLOWER", "1"))
MEGABYTES = 200 * float(os.environ.get("DEALSTREAM_LOAD_LARGER", "1"))


def most_mb(process):
    """The most memory that the process has held since it started."""
    return round(int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{process.child.pid}/status").read_text())[1]) / 1024, 1)


def write_integrations(suite):
    """Copies of the real ones, each with an account, an id and a token of its own; gives back the cabinet's rows of them."""
    table = suite.reader("integrations.v1", pb["integration"].Integration)
    wait_for("an integration of each CRM", lambda: set(CRMS) <= {message.crm for message in table.messages()})
    real = {message.crm: message for message in table.messages()}
    producer = confluent_kafka.Producer({"bootstrap.servers": suite.suite.brokers, "linger.ms": 20, "compression.type": "zstd", "queue.buffering.max.messages": 500000})
    failed, rows = [], []
    number = 0
    for crm, share in SHARES.items():
        integration = pb["integration"].Integration()
        integration.CopyFrom(real[crm])
        for _ in range(int(COUNT * share)):
            number += 1
            integration.id, integration.crm_account_id = f"int_{number:026d}", f"many{number}"
            integration.credential_id, integration.webhook_token_sha256 = f"cred_{number:026d}", hashlib.sha256(str(number).encode()).digest()
            producer.produce(suite.suite.prefix + "integrations.v1", integration.SerializeToString(), integration.id,
                             on_delivery=lambda error, _: failed.append(error) if error else None)
            integration.version += number % 10 == 0  # What the topic lacks of a tenth.
            rows.append((integration.id, integration.account_id, crm, int(integration.active), integration.version, str(number),
                         base64.b64encode(integration.SerializeToString()).decode()))
            integration.version = real[crm].version
            if number % 1000 == 0:
                producer.poll(0)
    producer.flush(60)
    assert not failed, failed[0]
    return rows


def open_store(suite):
    return contextlib.closing(sqlite3.connect(suite.suite.data / "state/cabinet/cabinet.db", timeout=30))


def fill_store(suite, rows):
    with open_store(suite) as store, store:
        store.executemany("INSERT INTO integrations (id, account_id, crm, active, version, webhook_token, body) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def rows_scheduled(suite):
    """While its first steps go through all integrations, the cabinet is alive."""
    admin = suite.suite.addresses["cabinet"]["admin"]
    assert http_get(f"http://{admin}/livez")[0] == 200
    with open_store(suite) as store:
        return store.execute("SELECT COUNT(*) FROM schedules").fetchone()[0]


def seconds_to_ready(suite, name):
    began = time.monotonic()
    suite.suite.processes[name].start()
    url = f"http://{suite.suite.addresses[name]['admin']}/readyz"
    wait_for(f"{name} is ready", lambda: http_get(url)[0] == 200, timeout=60, every=0.02)
    return time.monotonic() - began


@pytest.mark.timeout(600)
def test_services_start_and_hold_the_table(apache_suite):
    suite = apache_suite
    names = ["webhook-ingest", "cabinet", *(f"crm-reader-{crm}" for crm in CRMS)]
    processes = suite.suite.processes
    numbers = {name: {"few_mb": most_mb(processes[name])} for name in names}
    written = write_integrations(suite)
    for name in names:
        assert processes[name].stop() == 0
        if name == "cabinet":
            fill_store(suite, written)
        numbers[name]["ready_s"] = round(seconds_to_ready(suite, name), 2)
    wait_for("a schedule of each", lambda: rows_scheduled(suite) >= len(written), timeout=60)
    # A tenth was newer than the topic said.
    repaired = pb["integration"].Integration.FromString(base64.b64decode(written[9][-1]))
    table = suite.reader("integrations.v1", pb["integration"].Integration)
    wait_for("the topic is as the store", lambda: any(message == repaired for message in table.messages(1)), timeout=60)
    for name in names:
        numbers[name]["many_mb"] = most_mb(processes[name])
    text = json.dumps({"integrations": len(written), "services": numbers}, indent=1)
    (suite.suite.data / "many.json").write_text(text)
    print(text)
    for name, number in numbers.items():
        assert number["ready_s"] < START_SECONDS, f"{name}: {number}"
        assert number["many_mb"] - number["few_mb"] < MEGABYTES, f"{name}: {number}"
    # Deals flow as before, and the table is whole: an integration made now is found behind all others.
    deals = suite.deals()
    for crm in CRMS:
        side = suite.on(crm)
        side.create(amount=100)
        if not side.links[0]["webhook_url"]:
            side.poll_now()
        wait_for(f"a deal of {crm}", lambda crm=crm: any(event.deal.crm == crm for event in deals.messages()), timeout=60)

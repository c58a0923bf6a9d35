"""tools/up and tools/down as a newcomer uses them (with the executables under test)."""

import json
import pathlib
import subprocess
import threading

import pytest
from harness import _DATA, PLANTED, http_json, plant_token, secrets_of
from suite import ROOT, Suite, declared_crms


def command(bin_dir, data, *arguments):
    return ["python3", ROOT / "tools/suite/up.py", "--bin", bin_dir, "--data", data, *arguments]


def up(bin_dir, data, *arguments, timeout=180):
    return subprocess.run(command(bin_dir, data, *arguments), capture_output=True, text=True, timeout=timeout)


def dealctl(addresses, *arguments):
    done = subprocess.run([addresses["dealctl"], "--config", addresses["dealctl_config"], *arguments, "--json"], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def plant(addresses):
    """What the demo made up and must be in no file; see find_leaks."""
    _DATA.append(pathlib.Path(addresses["data"]))
    for simulator in (f"http://{known['http']}" for name, known in addresses["services"].items() if name.startswith("simulator-")):
        for account in http_json(simulator + "/_sim/accounts"):
            PLANTED.update(secrets_of(account["credential"]))
        PLANTED.update(http_json(simulator + "/_sim/issued")["tokens"])
    for integration in dealctl(addresses, "integration", "list"):
        if integration["webhook_url"]:
            plant_token(integration["webhook_url"])


def test_up_shows_deals_and_refuses_a_second(bin_dir, data_root):
    data = data_root / "up"
    done = up(bin_dir, data, "--detach")
    try:
        assert done.returncode == 0, done.stderr + done.stdout
        addresses = json.loads((data / "addresses.json").read_text())
        assert "webhook-ingest" in addresses["services"] and "webhook-ingest" in done.stdout

        # Every CRM flows.
        missing, first = set(declared_crms()), None
        tail = subprocess.Popen([addresses["dealctl"], "tail", "deals.v1", "--from", "beginning", "--idle", "30s"], stdout=subprocess.PIPE, text=True,
                                env={"DEALSTREAM_DEALCTL_CONFIG": addresses["dealctl_config"], "PATH": "/usr/bin"})
        alarm = threading.Timer(90, tail.kill)
        alarm.start()
        for line in tail.stdout:
            first = first or json.loads(line)
            missing.discard(json.loads(line)["value"]["deal"]["crm"])
            if not missing:
                break
        alarm.cancel()
        tail.kill()
        tail.wait()
        assert not missing, f"no deals of {missing}"
        assert set(first) == {"topic", "partition", "offset", "key", "headers", "value"} and first["topic"].endswith("deals.v1")

        plant(addresses)
        again = up(bin_dir, data)
        assert again.returncode == 1 and "runs already" in again.stderr
    finally:
        stopped = up(bin_dir, data, "--stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "Nothing runs" in up(bin_dir, data, "--stop").stdout


@pytest.mark.apache
def test_a_kafka_folder_keeps_its_ports(bin_dir, data_root):
    brokers = []
    for _ in range(2):
        suite = Suite(bin_dir, data_root / "kafka-again", "apache")  # It would choose another port each time.
        try:
            suite.start_broker()
        finally:
            suite.stop_broker()
        brokers.append(suite.brokers)
    assert brokers[0] == brokers[1]

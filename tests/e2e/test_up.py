"""tools/up and tools/down as a newcomer uses them (with the executables under test)."""

import json
import subprocess
import threading

import pytest
from harness import _DATA
from suite import ROOT, Suite, declared_crms


def up(bin_dir, data, *arguments, timeout=180):
    return subprocess.run(["python3", ROOT / "tools/suite/up.py", "--bin", bin_dir, "--data", data, *arguments], capture_output=True, text=True, timeout=timeout)


def test_up_shows_deals_and_refuses_a_second(bin_dir, data_root):
    data = data_root / "up"
    done = up(bin_dir, data, "--detach")
    try:
        assert done.returncode == 0, done.stderr + done.stdout
        _DATA.append(data)
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

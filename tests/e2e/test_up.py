"""tools/up and tools/down as a newcomer uses them (with the executables under test)."""

import contextlib
import json
import pathlib
import signal
import subprocess
import threading

import pytest
from harness import _DATA, PLANTED, TopicReader, check_stream, http_json, pb, plant_token, secrets_of, wait_for
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


def children(pid):
    """Name by process id."""
    found = {}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            found[int(child)] = pathlib.Path(pathlib.Path(f"/proc/{child}/cmdline").read_text().split("\0")[0]).name
    return found


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


def test_up_again_in_the_same_folder_until_it_is_ended(bin_dir, data_root):
    data = data_root / "up-again"
    addresses_file, log = data / "addresses.json", data_root / "up-again.log"
    # The terminal is closed; a service dies.
    for victim, number, code in ((None, signal.SIGHUP, 0), ("cabinet", signal.SIGKILL, 1)):
        with open(log, "wb") as out:
            # As from a terminal, though the tests themselves may run under nohup.
            running = subprocess.Popen(command(bin_dir, data), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                       preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
        reader = None
        try:
            wait_for("the suite is up", lambda: running.poll() is not None or addresses_file.exists(), timeout=120)
            assert running.poll() is None, log.read_text()
            addresses = json.loads(addresses_file.read_text())
            reader = TopicReader(addresses["services"]["kafka"]["brokers"], "deals.v1", pb["deal"].DealEvent)

            def all_flow():
                reader.poll(1)
                return {message.deal.crm for _, message in reader.seen} == set(declared_crms())
            wait_for("every CRM flows", all_flow, timeout=90)
            plant(addresses)
            events = [message for _, message in reader.seen]
            check_stream(events)
            active = {one["id"]: (one["crm"], one["crm_account_id"]) for one in dealctl(addresses, "integration", "list") if one["active"]}
            assert len(active) == len(set(active.values())) == 2 * len(declared_crms()), "an account has two integrations"
            assert {event.deal.integration_id for event in events} <= set(active)

            everyone = children(running.pid)
            assert {"embedded-broker", "cabinet", "crm-simulator", "dealctl"} <= set(everyone.values())
            sent_to = next(pid for pid, name in everyone.items() if name == victim) if victim else running.pid
            subprocess.run(["kill", f"-{int(number)}", str(sent_to)], check=True)
            assert running.wait(60) == code, log.read_text()
            if victim:
                assert f"tools/up: {victim} ended with -{int(number)}" in log.read_text()
            left = {pid: name for pid, name in everyone.items() if pathlib.Path(f"/proc/{pid}").exists()}
            assert not left
        finally:
            if reader is not None:
                reader.close()
            if running.poll() is None:
                running.terminate()
                running.wait(60)


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

"""tools/up and tools/down as a newcomer uses them (with the executables under test)."""

import json
import subprocess

from harness import _DATA, wait_for
from suite import ROOT


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

        def tail():
            lines = subprocess.run([addresses["dealctl"], "tail", "deals.v1", "--from", "beginning", "--count", "5", "--idle", "5s"], capture_output=True, text=True, timeout=60,
                                   env={"DEALSTREAM_DEALCTL_CONFIG": addresses["dealctl_config"], "PATH": "/usr/bin"}).stdout.splitlines()
            return lines if len(lines) == 5 else None
        lines = [json.loads(line) for line in wait_for("five deals", tail, timeout=60)]
        assert set(lines[0]) == {"topic", "partition", "offset", "key", "headers", "value"}
        assert lines[0]["topic"].endswith("deals.v1") and lines[0]["value"]["deal"]["crm"] in ("moysklad",)

        again = up(bin_dir, data)
        assert again.returncode == 1 and "runs already" in again.stderr
    finally:
        stopped = up(bin_dir, data, "--stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "Nothing runs" in up(bin_dir, data, "--stop").stdout

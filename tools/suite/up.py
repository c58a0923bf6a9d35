"""tools/up and tools/down: the whole suite on this machine, with simulated CRMs that live."""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time

from suite import ROOT, Suite, SuiteError

DEFAULT_DATA = ROOT / "build" / "up"
# How often the demo looks at a CRM that has no webhooks.
POLL_SECONDS = 15
# The customers that the demo invents; one account of each CRM is theirs.
TENANTS = ("demo-1", "demo-2")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parse(argv):
    if "--stop" in argv:
        parser = argparse.ArgumentParser(prog="tools/down", description="Stops a suite that tools/up started.")
        parser.add_argument("--data", type=pathlib.Path, default=DEFAULT_DATA, help="the folder that tools/up was given (default: build/up)")
        parser.add_argument("--stop", action="store_true", help=argparse.SUPPRESS)
        parser.add_argument("--bin", help=argparse.SUPPRESS)
        return parser.parse_args(argv)
    parser = argparse.ArgumentParser(prog="tools/up", description="Runs all of Dealstream on loopback and shows deals as they flow. Ctrl-C stops it.")
    parser.add_argument("--kafka", action="store_true", help="a real single-node Apache Kafka in place of the embedded broker")
    parser.add_argument("--detach", action="store_true", help="return once everything is ready; tools/down stops it")
    parser.add_argument("--no-demo", action="store_true", help="no simulated CRMs, no integrations")
    parser.add_argument("--data", type=pathlib.Path, default=DEFAULT_DATA, help="folder for all that is written (default: build/up); what was entered there stays, an earlier demo's integrations are switched off")
    parser.add_argument("--only-parse", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help=argparse.SUPPRESS)
    parser.set_defaults(stop=False)
    return parser.parse_args(argv)


def lock(data):
    """The data folder's lock, held while a suite runs in it; None when somebody has it."""
    data.mkdir(parents=True, exist_ok=True)
    file = open(data / "lock", "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def stop_running(data):
    held = lock(data) if data.exists() else None
    if held or not data.exists():
        print(f"Nothing runs in {data}.")
        return 0
    pid = int((data / "lock").read_text())
    os.kill(pid, signal.SIGTERM)
    for _ in range(600):
        if (again := lock(data)) is not None:
            again.close()
            print("Stopped.")
            return 0
        time.sleep(0.1)
    print(f"tools/down: process {pid} is still stopping after 60 s; see {data}/logs", file=sys.stderr)
    return 1


def down(data):
    """The command that stops what runs there."""
    return "tools/down" if data == DEFAULT_DATA else f"tools/down --data {data}"


def table(rows):
    width = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(cell.ljust(size) for cell, size in zip(row, width)).rstrip() for row in rows)


def show(suite):
    rows = [("component", "address", "admin (/readyz /livez /metrics)")]
    for name, known in sorted(suite.addresses.items()):
        address = known.get("http") or known.get("grpc") or known.get("brokers") or ""
        kind = "http://" if "http" in known else "grpcs://" if "grpc" in known else ""
        rows.append((name, kind + address, f"http://{known['admin']}" if "admin" in known else ""))
    print(table(rows))
    # It finds the suite by itself only where that lies in the usual place.
    found = "" if suite.data == DEFAULT_DATA else f" --config {suite.data / 'dealctl.yaml'}"
    print(f"\n  logs and data   {suite.data}\n  command line    tools/dealctl{found} --help\n", flush=True)


def forget_caches(suite):
    """What normalizers keep of a topic: it may be another broker's by now, or one that begins anew."""
    for folder in (suite.data / "state").glob("deal-normalizer-*"):
        shutil.rmtree(folder)


def leave_former_demo(suite):
    """Switches off the integrations of an earlier demo: its simulators are gone, and the next makes its own."""
    for tenant in TENANTS:
        for integration in json.loads(suite.dealctl("integration", "list", "--account", tenant, "--json").stdout):
            if integration["active"]:
                suite.dealctl("integration", "deactivate", integration["id"])


def start_demo(suite):
    for number, crm in enumerate(suite.crms):
        # A seed for each, lest one's secret is another's login.
        simulator = suite.start_simulator(crm, accounts=len(TENANTS), extra=["--seed", 7 + number])
        for account, tenant in enumerate(TENANTS):
            made = suite.connect(crm, simulator, account, tenant=tenant)
            polled = [] if made["webhook_url"] else [made["id"]]
            # The rest of the URL is a secret.
            door = made["webhook_url"].rsplit("/", 1)[0]
            print(f"  {crm} account {made['account']}: integration {made['id']}, "
                  f"{f'polled every {POLL_SECONDS} s (once a day outside of the demo)' if polled else f'webhooks to {door}/...'}")
            suite.polled += polled
        suite.scenarios.append(play(suite, crm, simulator))
    print(flush=True)


def look_after(suite):
    """Whether everything still runs; and CRMs without webhooks: what happens there shall be seen without waiting for the next day."""
    suite.check_alive()
    if time.monotonic() >= suite.next_poll:
        suite.next_poll = time.monotonic() + POLL_SECONDS
        for integration in suite.polled:
            with contextlib.suppress(SuiteError):  # The next time, then.
                suite.dealctl("poll-now", integration, check=False)


def play(suite, crm, simulator):
    """The demo's scenario on one CRM, beside everything else."""
    with open(suite.data / "logs" / f"scenario-{crm}.log", "wb") as log:
        return subprocess.Popen([suite.bin / "dealctl", "simulate", ROOT / "tools/cli/scenarios/demo.yaml", "--simulator", simulator], stdout=log, stderr=log, start_new_session=True)


def lines_of(suite, child):
    """The lines that a child writes; looks after the suite in between, whether there are any or not."""
    rest = b""
    while True:
        if select.select([child.stdout], [], [], 1)[0]:
            part = os.read(child.stdout.fileno(), 1 << 16)
            if not part:
                return
            *whole, rest = (rest + part).split(b"\n")
            yield from whole
        look_after(suite)


def follow(suite):
    """A line for each deal event until the process is told to stop."""
    suite.tail = subprocess.Popen([str(suite.bin / "dealctl"), "tail", "deals.v1", "--from", "beginning"], stdout=subprocess.PIPE, start_new_session=True,
                                  env={**os.environ, "DEALSTREAM_DEALCTL_CONFIG": str(suite.data / "dealctl.yaml")})
    for line in lines_of(suite, suite.tail):
        event = json.loads(line)["value"]
        deal = event["deal"]
        amount = deal.get("amount")
        money = f"{int(amount.get('units', 0))}.{abs(int(amount.get('nanos', 0))) // 10_000_000:02d} {amount.get('currency_code', '')}" if amount else "-"
        print(f"  {event['kind'].removeprefix('DEAL_EVENT_KIND_'):8} {deal['crm']:10} {deal.get('title', ''):12.12} {deal.get('stage', {}).get('name', '-'):22.22} {money:>16}  "
              f"{','.join(event.get('changed', []))[:60]}", flush=True)
    raise SuiteError(f"dealctl tail ended with {suite.tail.wait()}")


def ignore_signals():
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def interrupt_once(number, frame):
    """The first signal ends what runs; those after it don't disturb the stopping."""
    ignore_signals()
    raise KeyboardInterrupt


def heed_signals():
    for number in STOP_SIGNALS:
        # A closed terminal doesn't end what runs under nohup.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt_once)


def say(text):
    """To standard error, which may have gone with its terminal."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def end(child):
    if child.stdout:
        child.stdout.close()  # It may be waiting for us to read.
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def stop_all(suite):
    """Gives back what ended otherwise than it should, in words; empty when all is well."""
    # Nobody may read our output any more: neither wait for them nor fail for what is left of it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    (suite.data / "addresses.json").unlink(missing_ok=True)
    for child in [*suite.scenarios, *([suite.tail] if suite.tail else [])]:
        end(child)
    try:
        return ", ".join(f"{name} ended with {code}" for name, code in suite.stop().items() if code != 0)
    except SuiteError as error:
        return str(error)


def serve(suite, demo):
    """Starts everything and looks after it until told to stop."""
    (suite.data / "addresses.json").unlink(missing_ok=True)
    print("Starting ...", flush=True)
    forget_caches(suite)
    suite.start()
    leave_former_demo(suite)
    if demo:
        start_demo(suite)
    show(suite)
    suite.write_addresses()
    if not demo or os.environ.get("DEALSTREAM_UP_DETACHED"):
        while True:
            look_after(suite)
            time.sleep(1)
    print("Deals as they flow out of deals.v1 (Ctrl-C stops everything):", flush=True)
    follow(suite)


def run(options):
    held = lock(options.data)
    if held is None:
        pid = (options.data / "lock").read_text()
        print(f"tools/up: a suite runs already in {options.data} (process {pid}). {down(options.data)} stops it; --data DIR starts another beside it.", file=sys.stderr)
        return 1
    suite = Suite(options.bin, options.data, "apache" if options.kafka else "embedded", preferred_ports=True)
    suite.tail, suite.scenarios, suite.polled, suite.next_poll = None, [], [], 0
    heed_signals()
    code = 0
    try:
        serve(suite, demo=not options.no_demo)
    except KeyboardInterrupt:
        say("\nStopping ...")
    except BrokenPipeError:
        code = 1
        say("tools/up: standard output is closed; stopping")
    except (SuiteError, OSError) as error:
        code = 1
        say(f"tools/up: {error}")
    finally:  # Whatever happened: the children have sessions of their own and would run on.
        try:
            ignore_signals()
        finally:
            bad = stop_all(suite)
    if bad and code == 0:
        code = 1
        say(f"tools/up: did not stop cleanly: {bad}; see {options.data}/logs")
    return code


def detach(options, argv):
    """Runs this program again without --detach in the background and waits until it is ready."""
    options.data.mkdir(parents=True, exist_ok=True)
    addresses = options.data / "addresses.json"
    held = lock(options.data)
    if held is None:
        return run(options)  # Says so.
    addresses.unlink(missing_ok=True)
    held.close()
    log = options.data / "up.log"
    heed_signals()
    with open(log, "wb") as out:
        child = subprocess.Popen([sys.executable, __file__, *[part for part in argv if part != "--detach"]], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                 start_new_session=True, env={**os.environ, "DEALSTREAM_UP_DETACHED": "1"})
    try:
        while not addresses.exists():
            if child.poll() is not None:
                print(log.read_text(), file=sys.stderr)
                return 1
            time.sleep(0.1)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        say("Stopped.")
        return 1
    print(log.read_text())
    print(f"Runs in the background (process {child.pid}); {down(options.data)} stops it.")
    return 0


def main(argv):
    options = parse(argv)
    options.data = options.data.resolve()
    if options.stop:
        return stop_running(options.data)
    if options.only_parse:
        return 0
    try:
        return detach(options, argv) if options.detach else run(options)
    except OSError as error:
        say(f"tools/up: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

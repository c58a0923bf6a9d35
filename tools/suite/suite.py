"""Runs the whole suite on this machine: the broker, the services, the simulators.

tools/up and the end-to-end tests share it. Standard library only. Everything listens on loopback;
everything that is written lies in one data folder.
"""

import http.client
import json
import os
import pathlib
import random
import re
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PUBLIC_SERVICES = ["credential-vault", "cabinet", "webhook-ingest", "crm-reader", "deal-normalizer"]


class SuiteError(Exception):
    """Something that the person who runs the suite must know, in a sentence."""


_GIVEN_PORTS = set()


def free_port(preferred=0):
    """A port nothing listens on, each once: the preferred one if it is free.

    Below the range that the system takes for outgoing connections: one of those could have it before our server does.
    """
    for port in (preferred, *random.sample(range(15000, 32000), 200)):
        if not port or port in _GIVEN_PORTS:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _GIVEN_PORTS.add(port)
            return port
    raise SuiteError("no free port on 127.0.0.1")


def declared_crms():
    """The CRMs that deploy/topics.yaml has topics for."""
    line = re.search(r"^crms: \[(.*)\]$", (ROOT / "deploy/topics.yaml").read_text(), re.MULTILINE)
    if line is None:
        raise SuiteError("deploy/topics.yaml: found no line `crms: [a, b]`")
    return [crm.strip() for crm in line[1].split(",")]


def http_get(url, timeout=5):
    """Status and body; status 0 when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def http_json(url, body=None, method=None, timeout=10):
    """Sends JSON (or nothing) and reads JSON; raises SuiteError with the answer's text otherwise."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method or ("POST" if data is not None else "GET"))
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise SuiteError(f"{url}: {error.code} {error.read().decode()[:300]}") from error
    except (OSError, http.client.HTTPException) as error:
        raise SuiteError(f"{url}: {error}") from error
    return json.loads(text) if text else None


def run_to_end(command, timeout, **how):
    """A command's output and exit code; raises SuiteError when it takes too long. Its arguments are in no message."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **how)
    except subprocess.TimeoutExpired:
        raise SuiteError(f"{command[0]} didn't end within {timeout} s") from None


class Process:
    """One child, its log file and what to start it with again."""

    def __init__(self, name, command, log, env=None):
        self.name, self.command, self.log = name, [str(part) for part in command], log
        # DEALSTREAM_... of our own environment would override the written configuration.
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("DEALSTREAM_")} | (env or {})
        self.child = None

    def start(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            # A session of its own: Ctrl-C reaches the suite alone, which then stops all in order.
            self.child = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT,
                                          stdin=subprocess.DEVNULL, env=self.env, start_new_session=True)
        return self

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.running:
            self.child.send_signal(number)

    def stop(self, timeout=40):
        """SIGTERM and wait; the exit code, or -9 when it had to be killed."""
        if self.child is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def kill(self):
        if self.running:
            self.child.kill()
        if self.child is not None:
            self.child.wait()

    def last_lines(self, count=15):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""


class Suite:
    """The processes of one running suite.

    broker: "embedded", "apache", or the address of one that runs already.
    """

    def __init__(self, bin_dir, data, broker="embedded", crms=None, prefix="", preferred_ports=False, settings=None):
        self.bin, self.data, self.broker_kind = pathlib.Path(bin_dir), pathlib.Path(data), broker
        self.crms, self.prefix, self.settings = crms or declared_crms(), prefix, settings or {}
        self.preferred_ports = preferred_ports
        self.processes, self.addresses = {}, {}
        self.data.mkdir(parents=True, exist_ok=True)
        self.brokers = None

    # ---- processes ----------------------------------------------------------------------------

    def port(self, preferred):
        return free_port(preferred if self.preferred_ports else 0)

    def spawn(self, name, command, env=None):
        process = Process(name, command, self.data / "logs" / f"{name}.log", env)
        self.processes[name] = process.start()
        return process

    def run(self, *command, timeout=120):
        done = run_to_end([str(part) for part in command], timeout)
        if done.returncode != 0:
            raise SuiteError(f"{command[0]} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def check_alive(self):
        for process in self.processes.values():
            if process.child is not None and process.child.poll() is not None:
                raise SuiteError(f"{process.name} ended with {process.child.returncode}; its last lines:\n{process.last_lines()}")

    def wait_ready(self, *names, timeout=60):
        """Until /readyz of each is 200."""
        deadline = time.monotonic() + timeout
        for name in names:
            url = f"http://{self.addresses[name]['admin']}/readyz"
            while True:
                status, body = http_get(url, timeout=2)
                if status == 200:
                    break
                process = self.processes[name]
                if not process.running:
                    raise SuiteError(f"{name} ended with {process.child.returncode}; its last lines:\n{process.last_lines()}")
                if time.monotonic() > deadline:
                    raise SuiteError(f"{name} isn't ready after {timeout} s: {body.strip()}\n{process.last_lines()}")
                time.sleep(0.1)

    # ---- broker and topics ----------------------------------------------------------------------

    def start_broker(self):
        if self.broker_kind == "embedded":
            port = self.port(9092)
            self.brokers = f"127.0.0.1:{port}"
            self.spawn("broker", [self.bin / "embedded-broker", "--port", port, "--topics", ROOT / "deploy/topics.yaml",
                                  *(["--prefix", self.prefix] if self.prefix else [])])
        elif self.broker_kind == "apache":
            folder = self.data / "kafka"
            # Its first start fixes the ports of a folder.
            port = [] if (folder / "cluster.json").exists() else ["--port", self.port(9092)]
            self.brokers = self.run(ROOT / "tools/kafka/kafka", "start", "--dir", folder, *port, timeout=600).split()[-1]
        else:
            self.brokers = self.broker_kind
        host, port = self.brokers.split(",")[0].rsplit(":", 1)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise SuiteError(f"no broker answers at {self.brokers}") from None
                self.check_alive()
                time.sleep(0.1)
        self.addresses["kafka"] = {"brokers": self.brokers}

    def stop_broker(self):
        if self.broker_kind == "apache":
            if (self.data / "kafka/cluster.json").exists():  # Else its start didn't come that far.
                self.run(ROOT / "tools/kafka/kafka", "stop", "--dir", self.data / "kafka")
        elif "broker" in self.processes:
            self.processes["broker"].stop()

    def write_dealctl_config(self):
        config = {"kafka": self.kafka_config("dealctl"), "tls": self.tls("dealctl"), "topics_file": str(ROOT / "deploy/topics.yaml")}
        for key, service in (("vault", "credential-vault"), ("cabinet", "cabinet")):
            if service in self.addresses:
                config[key] = {"address": self.addresses[service]["grpc"]}
        (self.data / "dealctl.yaml").write_text(json.dumps(config, indent=2))

    def apply_topics(self):
        self.write_dealctl_config()
        if self.broker_kind != "embedded":  # The embedded one has no admin interface and made them at start.
            self.dealctl("topics", "apply", "--replication", "1", timeout=120)

    # ---- services -------------------------------------------------------------------------------

    def kafka_config(self, client):
        config = {"brokers": self.brokers, "client_id": client, "embedded_broker": self.broker_kind == "embedded"}
        if self.prefix:
            config["topic_prefix"] = self.prefix
        return config

    def tls(self, name):
        folder = self.data / "certs"
        return {"ca_file": str(folder / "ca.pem"), "certificate_file": str(folder / f"{name}.pem"), "key_file": str(folder / f"{name}-key.pem")}

    def make_secrets(self):
        self.run(ROOT / "tools/certs", self.data / "certs")
        key = self.data / "root-keys"
        if not key.exists():
            self.run(self.bin / "vault-tool", "new-root-key", key)

    def config_of(self, service, crm=None):
        """The configuration of a service as nested maps. Ports are picked once and kept over restarts."""
        name = service if crm is None else f"{service}-{crm}"
        ports = {"credential-vault": (8091, 8191), "cabinet": (8092, 8192), "webhook-ingest": (8080, 8180)}
        known = self.addresses.setdefault(name, {})
        known.setdefault("admin", f"127.0.0.1:{self.port(ports.get(service, (0, 0))[1])}")
        state = self.data / "state" / name
        state.mkdir(parents=True, exist_ok=True)
        config = {"admin": {"address": known["admin"]}, "kafka": self.kafka_config(name), "drain": {"delay": "0s"}}
        if service in ("credential-vault", "cabinet"):
            known.setdefault("grpc", f"127.0.0.1:{self.port(ports[service][0])}")
            config["grpc"] = {"address": known["grpc"]}
        if service in ("credential-vault", "cabinet", "crm-reader"):
            config["tls"] = self.tls(service)
        if service == "credential-vault":
            del config["kafka"]
            config["store"] = {"url": f"sqlite3://{state}/vault.db"}
            config["root_key"] = {"file": str(self.data / "root-keys")}
            config["development"] = {"allow_loopback": True}
        if service == "cabinet":
            config["store"] = {"url": f"sqlite3://{state}/cabinet.db"}
            config["vault"] = {"address": self.addresses["credential-vault"]["grpc"]}
            config["public_base_url"] = "http://" + self.http_address()
        if service == "webhook-ingest":
            config["http"] = {"address": self.http_address()}
        if service == "crm-reader":
            config["crm"] = crm
            config["vault"] = {"address": self.addresses["credential-vault"]["grpc"]}
            config["development"] = {"allow_loopback": True}
        if service == "deal-normalizer":
            config["crm"] = crm
            config["state"] = {"path": str(state)}
            config["instance"] = "0"
        for key, value in self.settings.get(service, {}).items():
            node = config
            *path, last = key.split(".")
            for part in path:
                node = node.setdefault(part, {})
            node[last] = value
        return name, config

    def http_address(self):
        return self.addresses.setdefault("webhook-ingest", {}).setdefault("http", f"127.0.0.1:{self.port(8080)}")

    def start_service(self, service, crm=None, env=None):
        name, config = self.config_of(service, crm)
        path = self.data / "config" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(config, indent=2))  # JSON is YAML.
        return self.spawn(name, [self.bin / service, "--config", path], env)

    def start_services(self):
        """All five; gives back their names. They reach ready by themselves, in any order."""
        self.make_secrets()
        for service in ("credential-vault", "cabinet", "webhook-ingest"):
            self.start_service(service)
        names = ["credential-vault", "cabinet", "webhook-ingest"]
        for crm in self.crms:
            for service in ("crm-reader", "deal-normalizer"):
                self.start_service(service, crm)
                names.append(f"{service}-{crm}")
        self.write_dealctl_config()
        return names

    def start(self, timeout=90):
        self.start_broker()
        self.apply_topics()
        self.wait_ready(*self.start_services(), timeout=timeout)
        return self

    # ---- the CRM's side -------------------------------------------------------------------------

    def start_simulator(self, crm, accounts=1, changes_per_second=0.0, extra=()):
        port = self.port(8300)
        self.spawn(f"simulator-{crm}", [self.bin / "crm-simulator", "--crm", crm, "--address", f"127.0.0.1:{port}", "--accounts", accounts,
                                        "--changes-per-second", changes_per_second, *extra])
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while http_get(url + "/_sim/stats")[0] != 200:
            self.check_alive()
            if time.monotonic() > deadline:
                raise SuiteError(f"the simulator of {crm} doesn't answer at {url}")
            time.sleep(0.1)
        self.addresses[f"simulator-{crm}"] = {"http": f"127.0.0.1:{port}"}
        return url

    def dealctl(self, *args, timeout=30, input=None, check=True):
        done = run_to_end([str(self.bin / "dealctl"), *map(str, args)], timeout, input=input,
                          env={**os.environ, "DEALSTREAM_DEALCTL_CONFIG": str(self.data / "dealctl.yaml")})
        if check and done.returncode != 0:
            raise SuiteError(f"dealctl {args[0]} {args[1] if len(args) > 1 else ''} failed ({done.returncode}): {done.stderr.strip()}")
        return done

    def connect(self, crm, simulator, account=0, purpose="deals", tenant="demo", settings=()):
        """Adds a credential and an integration for one account of a simulator and points its webhooks at us."""
        fields = http_json(simulator + "/_sim/accounts")[account]
        # Not as arguments: those are in every process list.
        names = [part for name in fields["credential"] for part in ("--field-stdin", name)]
        values = "".join(f"{value}\n" for value in fields["credential"].values())
        credential = json.loads(self.dealctl("credential", "add", "--crm", crm, "--name", f"{crm} {account}", *names, "--json", input=values).stdout)
        options = [part for pair in settings for part in ("--set", pair)]
        integration = json.loads(self.dealctl("integration", "add", "--crm", crm, "--purpose", purpose, "--credential", credential["id"],
                                              "--account", tenant, *options, "--json").stdout)
        http_json(simulator + "/_sim/webhook", {"account": fields["account"], "url": integration["webhook_url"], "purpose": purpose})
        return {"credential": credential["id"], **integration, "account": fields["account"]}

    # ---- the end --------------------------------------------------------------------------------

    def stop(self):
        """Stops all, those who write first; gives back the exit codes."""
        order = sorted(self.processes, key=lambda name: (name == "broker", name == "credential-vault", name == "cabinet", not name.startswith("simulator")))
        codes = {name: self.processes[name].stop() for name in order if name != "broker"}
        self.stop_broker()
        return codes

    def write_addresses(self):
        (self.data / "addresses.json").write_text(json.dumps(
            {"services": self.addresses, "data": str(self.data), "dealctl": str(self.bin / "dealctl"), "dealctl_config": str(self.data / "dealctl.yaml")}, indent=2))


def random_prefix():
    """A topic prefix of its own, for tests that share a broker."""
    return f"t{secrets.token_hex(4)}."

"""What the end-to-end tests share: a running suite, readers of topics, scrapes, the truth of a simulator."""

import base64
import concurrent.futures
import copy
import decimal
import gzip
import importlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import confluent_kafka
import grpc
from prometheus_client.parser import text_string_to_metric_families
from suite import ROOT, SuiteError, free_port, http_get, http_json

# Every secret that a test made up, and the webhook tokens among them; see find_leaks.
PLANTED, TOKENS = set(), set()
_DATA = []


def _compile_protos():
    out = tempfile.mkdtemp(prefix="dealstream-proto-")
    protos = [str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={out}", f"--grpc_python_out={out}", *protos], check=True)
    sys.path.insert(0, out)
    modules = {name: importlib.import_module(f"dealstream.{name}.v1.{name}_pb2") for name in ("deal", "raw", "integration", "request", "vault", "cabinet")}
    return modules | {f"{name}_rpc": importlib.import_module(f"dealstream.{name}.v1.{name}_pb2_grpc") for name in ("vault", "cabinet")}


pb = _compile_protos()
Kind = pb["deal"].DealEventKind


def wait_for(what, check, timeout=30, every=0.1):
    """The first true answer of `check`; fails the test naming `what` and the last answer otherwise."""
    deadline = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still not: {what}; last answer: {answer!r}")
        time.sleep(every)


def basic(credential):
    """A credential as an Authorization header holds it."""
    return base64.b64encode(f"{credential['login']}:{credential['password']}".encode()).decode()


def secrets_of(credential):
    """What must be shown nowhere of a simulated account's credential, in the forms in which it could be."""
    plain = [credential[name] for name in ("password", "api_key", "access_token", "app_key") if name in credential]
    assert plain, f"no field known as a secret in {sorted(credential)}"
    return {*plain, *(urllib.parse.quote(secret, safe="") for secret in plain), *([basic(credential)] if "login" in credential else [])}


def plant_token(webhook_url):
    token = webhook_url.rsplit("/", 1)[1]
    TOKENS.add(token)
    PLANTED.add(token)


class ApacheKafka:
    """A broker of tools/kafka with its own folder."""

    def __init__(self, data, nodes=1):
        self.data, self.nodes = data, nodes
        self.port = free_port(19592)
        self.brokers = f"127.0.0.1:{self.port}"

    def _tool(self, verb, *args):
        subprocess.run([ROOT / "tools/kafka/kafka", verb, "--dir", self.data, *args], check=True, stdout=subprocess.DEVNULL, timeout=600)

    def start(self):
        self._tool("start", "--port", str(self.port))

    def stop(self):
        self._tool("stop")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()


class TopicReader:
    """Reads a topic from its beginning as a subscriber does: read_committed, one consumer, no group state."""

    def __init__(self, brokers, topic, message):
        self.message = message
        self.consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": f"test-{time.monotonic_ns()}", "isolation.level": "read_committed",
                                                  "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 5})
        partitions = self.consumer.list_topics(topic, timeout=20).topics[topic].partitions
        self.consumer.assign([confluent_kafka.TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING) for number in partitions])
        self.seen = []

    def poll(self, seconds=0.2):
        """Reads what there is for a moment; gives back all that was ever read, (record, message)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            record = self.consumer.poll(0.05)
            if record is None or record.error():
                continue
            value = record.value()
            message = None
            if value is not None:
                message = self.message()
                message.ParseFromString(value)
            self.seen.append((record, message))
        return self.seen

    def messages(self, seconds=0.2):
        return [message for _, message in self.poll(seconds)]

    def close(self):
        self.consumer.close()


class Running:
    """A suite that runs, and for each of its CRMs a simulator with one integration of deals for each account.

    All that concerns a CRM is about the first one, or with `on` about the one named.
    """

    def __init__(self, suite, accounts=2, simulator_options=()):
        self.suite, self.accounts, self.simulator_options = suite, accounts, simulator_options
        self.crm, self.simulator, self.links = suite.crms[0], None, []
        self.sides, self.readers, self.calls = {}, [], {}

    def __enter__(self):
        _DATA.append(self.suite.data)
        try:
            self.suite.start()
            self.open_calls()
            for number, crm in enumerate(self.suite.crms):
                # A seed for each, lest one's secret is another's login.
                simulator = self.suite.start_simulator(crm, accounts=self.accounts, extra=["--seed", number + 1, *self.simulator_options])
                accounts = http_json(simulator + "/_sim/accounts")
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    links = list(pool.map(lambda number: self.connect(crm, simulator, accounts[number], tenant=f"tenant-{number}"), range(self.accounts)))
                self.sides[crm] = (simulator, links)
            self.simulator, self.links = self.sides[self.crm]
            for _, links in self.sides.values():
                self.wait_hooks(links)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def on(self, crm):
        """This suite with another CRM in view."""
        other = copy.copy(self)
        other.crm, (other.simulator, other.links) = crm, self.sides[crm]
        return other

    def open_calls(self):
        for service, name in (("vault", "credential-vault"), ("cabinet", "cabinet")):
            ca, certificate, key = (pathlib.Path(self.suite.tls("dealctl")[part]).read_bytes() for part in ("ca_file", "certificate_file", "key_file"))
            channel = grpc.secure_channel(self.suite.addresses[name]["grpc"], grpc.ssl_channel_credentials(ca, key, certificate))
            self.calls[service] = (channel, getattr(pb[f"{service}_rpc"], f"{service.capitalize()}ServiceStub")(channel))

    def call(self, service, method, request):
        """Calls the vault or the cabinet as dealctl does."""
        return getattr(self.calls[service][1], method)(request, timeout=30)

    def connect(self, crm, simulator, account, tenant, purpose="deals"):
        """As Suite.connect, without a process for each step: there are tests with a thousand integrations."""
        PLANTED.update(secrets_of(account["credential"]))
        vault, cabinet = pb["vault"], pb["cabinet"]
        credential = self.call("vault", "PutCredential", vault.PutCredentialRequest(
            crm=crm, name=account["account"], fields=[vault.CredentialField(name=name, value=value) for name, value in account["credential"].items()])).credential
        view = self.call("cabinet", "CreateIntegration", cabinet.CreateIntegrationRequest(
            account_id=tenant, crm=crm, credential_id=credential.id, active=True, purpose=pb["integration"].Purpose.Value(f"PURPOSE_{purpose.upper()}"))).view
        if view.webhook_url:  # Else this CRM has no webhooks.
            http_json(simulator + "/_sim/webhook", {"account": account["account"], "url": view.webhook_url, "purpose": purpose})
            plant_token(view.webhook_url)
        return {"id": view.integration.id, "credential": credential.id, "crm_account_id": view.integration.crm_account_id,
                "webhook_url": view.webhook_url, "account": account["account"]}

    def poll_now(self, link=0):
        """Orders a pass over the changes of an integration."""
        return self.call("cabinet", "PollNow", pb["cabinet"].PollNowRequest(integration_id=self.links[link]["id"])).poll_id

    def __exit__(self, *error):
        for reader in self.readers:
            reader.close()
        for channel, _ in self.calls.values():
            channel.close()
        if error and error[0] is None:
            self.keep_what_is_shown()
        codes = self.suite.stop()
        if not error or error[0] is None:
            assert not {name: code for name, code in codes.items() if code != 0}, f"exit codes: {codes}"

    def keep_what_is_shown(self):
        """Writes all topics and the services' metrics into the data folder, for find_leaks, and learns what else is secret: the tokens that the CRMs gave."""
        for simulator, _ in self.sides.values():
            PLANTED.update(http_json(simulator + "/_sim/issued")["tokens"])
        shown = self.suite.data / "shown"
        shown.mkdir(exist_ok=True)
        for name, known in self.suite.addresses.items():
            if "admin" in known:
                (shown / f"{name}.metrics").write_text(http_get(f"http://{known['admin']}/metrics")[1])
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.suite.brokers, "group.id": f"test-{time.monotonic_ns()}", "enable.partition.eof": True,
                                             "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 5})
        topics = {name: topic for name, topic in consumer.list_topics(timeout=20).topics.items() if name.startswith(self.suite.prefix) and not name.startswith("__")}
        left = {(name, number) for name, topic in topics.items() for number in topic.partitions}
        consumer.assign([confluent_kafka.TopicPartition(name, number, confluent_kafka.OFFSET_BEGINNING) for name, number in left])
        deadline = time.monotonic() + 60
        with open(shown / "topics", "ab") as out:
            while left and time.monotonic() < deadline:
                record = consumer.poll(0.2)
                if record is not None and record.error() is None:
                    out.write(repr((record.topic(), record.key(), record.headers())).encode() + (record.value() or b"") + b"\n")
                elif record is not None and record.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    left.discard((record.topic(), record.partition()))
        consumer.close()
        assert not left, f"not read to their ends: {sorted(left)[:5]}"

    @staticmethod
    def wait_hooks(links):
        """Until the door knows every integration: a probe of the method is answered 405, not 404."""
        for link in filter(lambda link: link["webhook_url"], links):
            wait_for("the door knows the integration", lambda link=link: http_get_method(link["webhook_url"], "DELETE") == 405)

    # ---- topics ---------------------------------------------------------------------------------

    def reader(self, topic, message):
        made = TopicReader(self.suite.brokers, self.suite.prefix + topic, message)
        self.readers.append(made)
        return made

    def deals(self):
        return self.reader("deals.v1", pb["deal"].DealEvent)

    # ---- the simulator --------------------------------------------------------------------------

    def create(self, link=0, **fields):
        return http_json(self.simulator + "/_sim/deals", {"account": self.links[link]["account"], **fields})["id"]

    def change(self, order, **fields):
        return http_json(f"{self.simulator}/_sim/deals/{order}", fields)

    def trash(self, order):
        return http_json(f"{self.simulator}/_sim/deals/{order}/trash", {})

    def restore(self, order):
        return http_json(f"{self.simulator}/_sim/deals/{order}/restore", {})

    def delete(self, order):
        return http_json(f"{self.simulator}/_sim/deals/{order}", method="DELETE")

    def faults(self, link=0, **fields):
        """Replaces the account's faults; without any, ends them."""
        return http_json(self.simulator + "/_sim/faults", {"account": self.links[link]["account"], **(fields or {"clear": True})})

    def truth(self, link=0):
        """The orders of an account as the CRM has them, by id; those deleted for good bear `gone`."""
        return {order["id"]: order for order in http_json(f"{self.simulator}/_sim/deals?account={self.links[link]['account']}")["deals"]}

    def simulate(self, scenario, *links):
        """Plays a scenario that ships on the accounts of these links; the ids of its deals by their names in it, for each link."""
        accounts = [part for link in links for part in ("--account", self.links[link]["account"])]
        done = self.suite.dealctl("simulate", ROOT / f"tools/cli/scenarios/{scenario}.yaml", "--simulator", self.simulator, *accounts, "--json", timeout=120)
        played = {account["account"]: account["deals"] for account in json.loads(done.stdout)["accounts"]}
        return [played[self.links[link]["account"]] for link in links]

    def violations(self):
        """How often the CRM's stated limits were exceeded."""
        return http_json(self.simulator + "/_sim/stats")["violations"]

    def states(self, link=0):
        """The stages of an account: name and stateType."""
        credential = next(account["credential"] for account in http_json(self.simulator + "/_sim/accounts") if account["account"] == self.links[link]["account"])
        request = urllib.request.Request(credential["base_url"] + "/entity/customerorder/metadata", headers={
            "Accept-Encoding": "gzip", "Authorization": "Basic " + basic(credential)})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(gzip.decompress(answer.read()))["states"]

    # ---- metrics --------------------------------------------------------------------------------

    def metrics(self, service):
        status, text = http_get(f"http://{self.suite.addresses[service]['admin']}/metrics")
        assert status == 200, f"{service} /metrics: {status} {text}"
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def metric(self, service, name, **labels):
        """Sum over the series that bear these labels."""
        return sum(sample.value for sample in self.metrics(service) if sample.name == f"dealstream_{name}" and labels.items() <= sample.labels.items())

    def books(self, service):
        """(in, done, in progress, parked) of a consuming service, at one moment."""
        names = ("events_in_total", "events_done_total", "events_in_progress", "events_parked")
        sums = dict.fromkeys((f"dealstream_{name}" for name in names), 0)
        for sample in self.metrics(f"{service}-{self.crm}"):
            if sample.name in sums:
                sums[sample.name] += sample.value
        return tuple(sums.values())

    def balance(self, service):
        """The books if they balance."""
        entered, done, progress, parked = books = self.books(service)
        return books if entered == done + progress + parked else None

    def wait_books(self, service, timeout=30):
        """Until they balance with nothing under way."""
        def settled():
            books = self.balance(service)
            return books is not None and books[2] == 0
        return wait_for(f"the books of {service} balance: {self.books(service)}", settled, timeout)


def http_get_method(url, method):
    try:
        http_json(url, method=method)
        return 200
    except SuiteError as error:
        return int(re.search(r": (\d{3}) ", str(error))[1])


def money(deal):
    """The amount as a number of 10^-9 units; None when absent."""
    return deal.amount.units * 10**9 + deal.amount.nanos if deal.HasField("amount") else None


def last_by_order(events):
    """The last event of each order by its id at the CRM."""
    return {event.deal.external_id: event for event in events}


class Differences(list):
    """True when there are none, so that a failure shows them."""

    def __bool__(self):
        return not len(self)


def differences(last, truth, tells_deletion=True):
    """Where the last events of deals differ from what the CRM holds, both by the deal's id there: (id, what, the event's, the CRM's).

    Without tells_deletion the CRM has no way of telling that a deal is gone.
    """
    found = Differences()
    for number, true in truth.items():
        deal = last[number].deal if number in last else None
        away = true["gone"] or true.get("deleted", False)
        if away and not tells_deletion:
            continue
        if deal is None:
            # What was deleted before it was seen is not announced.
            found += [] if away else [(number, "event", None, true["title"])]
        elif deal.deleted or away:
            found += [] if deal.deleted and away else [(number, "deleted", deal.deleted, away)]
        else:
            amount = None if true["amount"] is None else int(decimal.Decimal(true["amount"]).scaleb(9))
            kind = pb["deal"].StageKind.Name(deal.stage.kind).removeprefix("STAGE_KIND_") if deal.HasField("stage") else "OPEN"
            pairs = {"title": (deal.title, true["title"]), "stage": (deal.stage.name, true["stage"] or ""), "stage_kind": (kind, true["stage_kind"]),
                     "amount": (money(deal), amount), "currency": (deal.amount.currency_code, true["currency"] if amount is not None else "")}
            found += [(number, what, ours, theirs) for what, (ours, theirs) in pairs.items() if ours != theirs]
    return found


def check_stream(events):
    """What every subscriber relies on: unique ids, the CRM's order for each deal, no repeat, one creation."""
    ids = [event.id for event in events]
    assert len(ids) == len(set(ids)), "an event id came twice"
    before = {}
    for event in events:
        deal, previous = event.deal, before.get(event.deal.id)
        if previous is None:
            assert event.kind == Kind.DEAL_EVENT_KIND_CREATED, f"first event of {deal.id} is {event.kind}"
        else:
            assert event.kind != Kind.DEAL_EVENT_KIND_CREATED, f"{deal.id} was created twice"
            assert deal.updated_at.ToNanoseconds() >= previous.deal.updated_at.ToNanoseconds(), f"{deal.id} went back in time"
            assert deal != previous.deal, f"{deal.id}: an event that changes nothing"
            assert event.changed, f"{deal.id}: an event names no change"
        before[deal.id] = event


def find_leaks():
    """Files of the suites that hold a planted secret: logs, stores, configurations, metrics and topics as they were at the end."""
    leaks = set()
    with tempfile.NamedTemporaryFile("w", suffix=".secrets") as secrets:
        secrets.write("\n".join(filter(None, PLANTED)))
        secrets.flush()
        for data in _DATA:
            # The CRM's side knows its own passwords.
            found = subprocess.run(["grep", "-raoFZ", "--exclude=simulator*", "-f", secrets.name, data], capture_output=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=False)
            assert found.returncode in (0, 1), found.stderr
            for line in found.stdout.splitlines():
                path, secret = line.decode().split("\0")
                # Webhook tokens are the cabinet's own.
                if secret not in TOKENS or pathlib.Path(path).parent != data / "state/cabinet":
                    leaks.add(f"{path}: contains a planted secret ({secret[:3]}...)")
    return sorted(leaks)

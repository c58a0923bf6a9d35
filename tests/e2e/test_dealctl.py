"""The command line, as an operator uses it beside a running suite."""

import json
import urllib.request

from harness import PLANTED, last_by_order, pb, wait_for

DEAD_LETTERS = "dlq.crm-reader.moysklad"


def dealctl(suite, *args, **kwargs):
    return suite.suite.dealctl(*args, **kwargs)


def test_usage_errors_are_exit_code_2(suite):
    for arguments in ([], ["nothing"], ["tail"], ["integration", "add"], ["backfill", "int_x", "--from", "yesterday"],
                      ["tail", "deals.v1", "--idle", "soon"], ["integration", "add", "--crm", "moysklad", "--purpose", "lunch", "--credential", "c", "--account", "a"]):
        done = dealctl(suite, *arguments, check=False)
        assert done.returncode == 2 and done.stderr + done.stdout, f"{arguments}: {done.returncode} {done.stderr}"
    assert dealctl(suite, "--help").returncode == 0
    assert "dealctl" in dealctl(suite, "--version").stdout


def test_unknown_setting_and_field_are_named(suite):
    link = suite.links[0]
    done = dealctl(suite, "integration", "set", link["id"], "--set", "brunch_source=store", check=False)
    assert done.returncode != 0 and "brunch_source" in done.stderr and "branch_source" in done.stderr
    done = dealctl(suite, "integration", "set", link["id"], "--set", "branch_source=moon", check=False)
    assert done.returncode != 0 and "branch_source" in done.stderr and "moon" in done.stderr
    done = dealctl(suite, "credential", "add", "--crm", "moysklad", "--name", "x", "--field", "login=a@b", "--field", "pasword=sup3rsecret", check=False)
    assert done.returncode != 0 and "pasword" in done.stderr and "sup3rsecret" not in done.stderr


def test_credential_from_standard_input_rotated_listed_deleted(suite):
    PLANTED.update({"fr0m-stdin-secret", "r0tated-secret"})
    made = json.loads(dealctl(suite, "credential", "add", "--crm", "moysklad", "--name", "stdin", "--field", "login=eva@stdin-shop", "--field-stdin", "password", "--json",
                              input="fr0m-stdin-secret\n").stdout)
    listed = {credential["id"]: credential for credential in json.loads(dealctl(suite, "credential", "list", "--json").stdout)}
    assert listed[made["id"]]["crm_account_id"] == "stdin-shop"
    assert "fr0m-stdin-secret" not in json.dumps(listed)
    rotated = json.loads(dealctl(suite, "credential", "rotate", made["id"], "--field", "login=eva@stdin-shop", "--field", "password=r0tated-secret", "--json").stdout)
    assert rotated["id"] == made["id"] and int(rotated["version"]) == 2
    dealctl(suite, "credential", "delete", made["id"])
    assert made["id"] not in dealctl(suite, "credential", "list", "--json").stdout


def test_setting_takes_effect_with_the_next_read(suite):
    link = suite.links[1]
    changed = json.loads(dealctl(suite, "integration", "set", link["id"], "--set", "branch_source=sales_channel", "--json").stdout)
    assert changed["settings"]["branch_source"] == "sales_channel" and changed["version"] == 2
    deals = suite.deals()

    def branch():
        order = suite.create(1, salesChannel=None, store=None, sum=100.0)
        event = wait_for("the deal", lambda: last_by_order(deals.messages()).get(order))
        return not event.deal.HasField("branch")
    assert branch()


def test_explain_maps_a_record_offline(suite, tmp_path):
    deals = suite.deals()
    order = suite.create(0, sum=12345.0)
    event = wait_for("the deal", lambda: last_by_order(deals.messages()).get(order))
    lines = dealctl(suite, "tail", "crm.record.moysklad", "--from", "beginning", "--idle", "3s", timeout=60).stdout.splitlines()
    record = next(line for line in lines if json.loads(line)["value"]["external_id"] == order)
    path = tmp_path / "record.json"
    path.write_text(record)
    deal = json.loads(dealctl(suite, "explain", "--record", path).stdout)
    assert deal["id"] == event.deal.id and deal["amount"] == {"currency_code": "RUB", "units": "123", "nanos": 450000000}
    assert json.loads(dealctl(suite, "explain", input=record).stdout) == deal
    done = dealctl(suite, "explain", "--record", path, "--set", "nonsense=1", check=False)
    assert done.returncode == 2 and "nonsense" in done.stderr


def test_dead_letter_is_listed_shown_and_redriven(suite):
    request = urllib.request.Request(suite.links[0]["webhook_url"], data=b'{"events": 5}', method="POST")
    with urllib.request.urlopen(request) as answer:
        notice = answer.headers["x-notice-id"]

    def listed():
        letters = json.loads(dealctl(suite, "dead-letters", "list", "--crm", "moysklad", "--service", "crm-reader", "--json").stdout)
        return [letter for letter in letters if notice in dealctl(suite, "dead-letters", "show", letter["id"]).stdout]
    letter = wait_for("the dead letter", listed)[0]
    assert letter["stage"] == "decode" and "events" in letter["message"] and letter["integration_id"] == suite.links[0]["id"]
    shown = json.loads(dealctl(suite, "dead-letters", "show", letter["id"]).stdout)
    assert shown["original"]["value"]["id"] == notice and shown["topic"] == "crm.notice.moysklad"
    out = dealctl(suite, "dead-letters", "redrive", letter["id"]).stdout
    assert "1 redriven" in out
    # It can't pass this time either: a second letter tells of the same notice.
    wait_for("it fails again", lambda: len(listed()) == 2)
    letters = suite.reader(DEAD_LETTERS, pb["raw"].DeadLetter)
    again = wait_for("both letters", lambda: len([m for m in letters.messages() if notice.encode() in m.value]) == 2)
    assert again
    assert dealctl(suite, "dead-letters", "show", "nonsense", check=False).returncode == 2
    suite.wait_books("crm-reader")


def test_topics_are_listed(suite):
    names = {topic["topic"] for topic in json.loads(dealctl(suite, "topics", "list", "--json").stdout)}
    assert {"deals.v1", "deals.snapshot.v1", "integrations.v1", "crm.notice.moysklad", "normalizer.moysklad.state"} <= names


def test_tail_stops_after_count_and_idle(suite):
    done = dealctl(suite, "tail", "requests.v1", "--from", "beginning", "--idle", "1s")
    assert done.stdout == ""
    missing = dealctl(suite, "tail", "no.such.topic", "--idle", "1s", check=False)
    assert missing.returncode == 1 and "no.such.topic" in missing.stderr

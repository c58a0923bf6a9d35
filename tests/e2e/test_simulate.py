"""Scenarios of tools/cli/scenarios, played by dealctl: at their end the events say what the CRM holds."""

import pytest
from harness import check_stream, differences, last_by_order, wait_for


@pytest.mark.parametrize("scenario", ["disorder", "outage"])
def test_the_deals_come_out_right(suite, scenario):
    deals = suite.deals()
    before = {link: set(suite.truth(link)) for link in (0, 1)}
    suite.simulate(scenario, 0, 1)
    for link in (0, 1):
        # What the account held before is not announced.
        truth = {number: deal for number, deal in suite.truth(link).items() if number not in before[link]}
        assert len(truth) >= 4
        wait_for("the events say what the CRM holds", lambda truth=truth: differences(last_by_order(deals.messages()), truth), timeout=90)
    check_stream(deals.messages(2))
    assert not suite.violations(), suite.violations()


def test_a_scenario_that_cannot_be_played_is_exit_code_2(suite, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("steps:\n  - create: {as: a}\n  - sell: a\n")
    done = suite.suite.dealctl("simulate", wrong, "--simulator", suite.simulator, check=False)
    assert done.returncode == 2 and f"{wrong}:3: sell: no such step" in done.stderr
    wrong.write_text("steps:\n  - create: {as: a, stage: Nowhere}\n")
    done = suite.suite.dealctl("simulate", wrong, "--simulator", suite.simulator, "--account", "1", check=False)
    assert done.returncode == 1 and f"{wrong}:2: create company1: 400" in done.stderr and "Nowhere" in done.stderr

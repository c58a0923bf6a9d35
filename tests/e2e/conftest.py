"""Fixtures of the end-to-end tests: a whole suite of real processes, on the embedded broker or Apache Kafka."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/suite"), str(pathlib.Path(__file__).parent)]

import harness  # noqa: E402
from suite import Suite, random_prefix  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--bin", type=pathlib.Path, default=ROOT / "build/dev/bin", help="folder of the executables")


def pytest_configure(config):
    config.addinivalue_line("markers", "apache: needs Apache Kafka")


@pytest.fixture(scope="session")
def bin_dir(pytestconfig):
    return pytestconfig.getoption("--bin").resolve()


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Where suites write. Kept after the run when DEALSTREAM_TEST_DATA names a folder."""
    named = os.environ.get("DEALSTREAM_TEST_DATA")
    if named:
        path = pathlib.Path(named)
        path.mkdir(parents=True, exist_ok=True)
        return path
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def apache(data_root):
    """Address of a single-node Apache Kafka that the whole session shares."""
    with harness.ApacheKafka(data_root / "kafka") as kafka:
        yield kafka


def running(bin_dir, data_root, module, **broker):
    """A suite as the module of tests wants it: what its constants don't name is the default here."""
    suite = Suite(bin_dir, data_root / module.__name__, crms=getattr(module, "CRMS", ["moysklad"]), settings=getattr(module, "SETTINGS", None), **broker)
    return harness.Running(suite, accounts=getattr(module, "ACCOUNTS", 2), simulator_options=getattr(module, "SIMULATOR_OPTIONS", ()))


@pytest.fixture(scope="module")
def suite(bin_dir, data_root, request):
    """A suite on the embedded broker with a quiet simulator of two accounts for each CRM; shared by a module's tests."""
    with running(bin_dir, data_root, request.module) as started:
        yield started


@pytest.fixture(scope="module")
def apache_suite(bin_dir, data_root, apache, request):
    """The same on Apache Kafka, under a topic prefix of its own."""
    with running(bin_dir, data_root, request.module, broker=apache.brokers, prefix=random_prefix()) as started:
        yield started


def pytest_sessionfinish(session):
    """No secret that a test planted may be in anything that a service wrote."""
    leaks = harness.find_leaks()
    if leaks:
        print("\nSECRETS IN LOGS:\n" + "\n".join(leaks))
        session.exitstatus = 1

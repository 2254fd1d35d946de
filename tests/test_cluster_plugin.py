"""Where tests of the cluster stand among all tests, and what becomes of them where there can be none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import programs
import pytest
from testbed import cluster, packages

Run = Callable[..., pytest.RunResult]
INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
timeout = 60
markers = cluster
"""
CONFTEST = """
import pytest

pytest_plugins = ["cluster_plugin"]


@pytest.fixture(scope="session")
def cluster():
    return None
"""
TESTS = """
import pytest


@pytest.mark.cluster
def test_in_it(cluster):
    pass


@pytest.mark.cluster
def test_of_its_programs():
    pass


def test_of_something_else():
    pass
"""
LAST = """
import pytest


@pytest.mark.cluster
def test_of_its_end(cluster):
    pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs tests with and without a cluster, which is none: a fake, so that this is about the order alone."""

    @contextmanager
    def undisturbed(*, alone: bool) -> Iterator[None]:
        yield

    monkeypatch.setattr(cluster, "undisturbed", undisturbed)
    monkeypatch.setattr(packages, "cannot_run", lambda: None)
    for name in ("CI", "PERIJOVE_TEST_KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini(INI)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_a=TESTS, test_leftovers=LAST, test_z=TESTS)
    return lambda *options: pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


def test_they_come_last_and_the_end_of_the_cluster_last_of_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(programs, "build_all", lambda: built.append("all"))
    done = run("-v")
    done.assert_outcomes(passed=7)
    ran = [line.split()[0] for line in done.outlines if " PASSED" in line]
    assert ran == [
        "test_a.py::test_of_something_else",
        "test_z.py::test_of_something_else",
        "test_a.py::test_of_its_programs",
        "test_z.py::test_of_its_programs",
        "test_a.py::test_in_it",
        "test_z.py::test_in_it",
        "test_leftovers.py::test_of_its_end",
    ]
    assert built == ["all"]


def test_where_none_can_be_one_line_says_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "cannot_run", lambda: "the test bed needs root")
    line = "could not run here: 5 tests with the marker cluster: the test bed needs root"
    done = run()
    done.assert_outcomes(passed=2, deselected=5)
    assert done.ret == pytest.ExitCode.OK
    assert done.outlines.count(line) == 1
    monkeypatch.setenv("CI", "true")
    done = run()
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert done.outlines.count(line) == 1


def test_programs_that_cannot_be_built_are_such_a_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise programs.CannotBuild("there is no Go")

    monkeypatch.setattr(programs, "build_all", fail)
    done = run()
    done.assert_outcomes(passed=2, deselected=5)
    done.stdout.fnmatch_lines(["could not run here: 5 tests with the marker cluster: there is no Go"])


def test_nothing_is_built_for_other_tests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "build_all", lambda: pytest.fail("it was built"))
    run("-m", "not cluster").assert_outcomes(passed=2, deselected=5)
    run("--collect-only")

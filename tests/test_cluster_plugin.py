"""Where tests of the cluster stand among all tests, and what becomes of them where there can be none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import programs
import pytest
import yaml
from testbed import cluster, layout, named, packages

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
    monkeypatch.setattr(layout, "NAMED", None)
    monkeypatch.setattr(layout, "LOAD", ("true",))
    monkeypatch.delenv("CI", raising=False)
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


def kubeconfig(folder: Path, server: str) -> Path:
    """One with two clusters, of which the second is the current context's."""
    clusters = [{"name": name, "cluster": {"server": at}} for name, at in (("a", "https://192.0.2.7"), ("b", server))]
    contexts = [{"name": "of-b", "context": {"cluster": "b", "user": "admin"}}]
    config = {"clusters": clusters, "contexts": contexts, "current-context": "of-b"}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def test_none_is_named() -> None:
    assert named.from_environment({named.LOAD: "true", named.ADDRESS: "192.0.2.1"}) is None


def test_a_cluster_is_named_with_what_its_tests_need(tmp_path: Path) -> None:
    given = {named.KUBECONFIG: str(kubeconfig(tmp_path, "https://192.0.2.9:6443"))}
    found = named.from_environment(
        {**given, named.ADDRESS: "192.0.2.1", named.LOAD: "kind load image-archive --name 'a b'"}
    )
    assert found is not None
    assert (found.server, found.address) == ("https://192.0.2.9:6443", "192.0.2.1")
    assert found.load == ("kind", "load", "image-archive", "--name", "a b")
    assert found.image == ""
    bare = named.from_environment({**given, named.ADDRESS: "192.0.2.2"})
    assert bare is not None
    assert (bare.load, bare.image) == ((), "busybox:1.36")
    assert bare.digest != found.digest
    own = named.from_environment({**given, named.IMAGE: "example.org/busybox:1", named.LOAD: "true"})
    assert own is not None
    assert own.image == "example.org/busybox:1"


def test_a_cluster_of_this_machine_does_not_get_a_loopback_address(tmp_path: Path) -> None:
    for server in ("https://127.0.0.1:43210", "https://0.0.0.0:6550"):
        found = named.from_environment({named.KUBECONFIG: str(kubeconfig(tmp_path, server))})
        assert found is not None
        assert not found.address.startswith(("127.", "0."))


def test_what_is_no_kubeconfig_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("[]")
    (tmp_path / "nothing").touch()
    other = yaml.safe_load(kubeconfig(tmp_path, "https://192.0.2.9").read_text()) | {"current-context": "of-a"}
    (tmp_path / "other").write_text(yaml.safe_dump(other))
    for name in ("list", "nothing", "other", "missing"):
        with pytest.raises(SystemExit, match=f"{named.KUBECONFIG}={tmp_path / name} is no kubeconfig"):
            named.from_environment({named.KUBECONFIG: str(tmp_path / name)})

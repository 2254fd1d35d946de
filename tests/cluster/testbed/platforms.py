"""A platform on this machine: its processes, its database, its objects."""

import os
import shutil
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from testbed import processes, services
from testbed.layout import ADDRESS, PKI, STATE
from testbed.steps import wait_for

START_SECONDS = 120.0
CA = PKI / "ca.crt"
"""Has signed the certificate of every platform that answers https here."""


@dataclass(frozen=True)
class Platform:
    """A platform of one or more replicas, whose address is one that pods reach.

    Attributes:
        name: of its database, processes and folders; ends the ids of its organization, project and user.
        port: of its address.
        ports: of its replicas; one that is alone has the address itself, before several stands a balancer.
        postgres: in a database of the test bed's PostgreSQL, else in SQLite.
        s3: objects in the test bed's S3 server, else in its folder.
        tls: it answers https, with a certificate of the test bed's authority (`CA`).
        settings: more of its environment variables.
    """

    name: str
    port: int
    ports: tuple[int, ...] = ()
    postgres: bool = True
    s3: bool = True
    tls: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self._url(self.port)

    def url_of(self, replica: int) -> str:
        """A replica's own address, not the balancer's."""
        return self._url(self._port(replica))

    @property
    def replicas(self) -> int:
        return len(self.ports) or 1

    @property
    def folder(self) -> Path:
        return STATE / "platforms" / self.name

    @property
    def database_url(self) -> str:
        """As the setting `PERIJOVE_DATABASE_URL` has it."""
        if self.postgres:
            return services.address(self.name).database_url
        return f"sqlite+aiosqlite:///{self.data() / 'platform.db'}"

    def data(self, replica: int = 0) -> Path:
        """A replica's data folder."""
        return self.folder / str(replica)

    def start(self, replica: int | None = None) -> None:
        """Start one replica, or all and what stands before them; anew if they run, with the checkout's code of now."""
        for each in self._some(replica):
            processes.stop(self.process(each))
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.postgres:
            services.ensure_database(self.name)
        for each in self._some(replica):
            processes.start(self.process(each), self._command(each), environment=self._environment(each))
        for each in self._some(replica):
            self._await(self.process(each), self.url_of(each))
        if self.ports and not processes.running(self._balancer):
            ports = [str(port) for port in (self.port, *self.ports)]
            command = [sys.executable, "-m", "testbed.balancer", ADDRESS, *ports]
            processes.start(self._balancer, command, cwd=Path(__file__).parents[1])
            self._await(self._balancer, self.url)

    def stop(self, replica: int | None = None) -> None:
        """End one replica, or all, as an upgrade does."""
        for each in self._some(replica):
            processes.stop(self.process(each))

    def kill(self, replica: int | None = None) -> None:
        """End one replica, or all, as a power cut does."""
        for each in self._some(replica):
            processes.kill(self.process(each))

    def remove(self) -> None:
        """End it and delete everything that it has."""
        processes.stop(self._balancer)
        self.stop()
        if self.postgres:
            services.drop_database(self.name)
        if self.s3:
            services.remove_objects(self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def api_key(self) -> str:
        """The key of its own user, with every scope."""
        return (self.data() / "api_key").read_text().strip()

    def log(self, replica: int = 0) -> Path:
        return processes.log_of(self.process(replica))

    def process(self, replica: int = 0) -> str:
        """The name of a replica's process."""
        return f"platform-{self.name}-{replica}"

    def trust(self) -> ssl.SSLContext | None:
        """What a client checks its certificate with."""
        return ssl.create_default_context(cafile=CA) if self.tls else None

    @property
    def _balancer(self) -> str:
        return f"balancer-{self.name}"

    def _some(self, replica: int | None) -> range:
        return range(self.replicas) if replica is None else range(replica, replica + 1)

    def _port(self, replica: int) -> int:
        return self.ports[replica] if self.ports else self.port

    def _url(self, port: int) -> str:
        return f"{'https' if self.tls else 'http'}://{ADDRESS}:{port}"

    def _command(self, replica: int) -> list[str | Path]:
        where = ["--host", ADDRESS, "--port", str(self._port(replica))]
        return [sys.executable, "-P", "-m", "perijove_platform", "serve", "--data-dir", self.data(replica), *where]

    def _environment(self, replica: int) -> dict[str, str]:
        found = services.address(self.name).settings()
        if not self.postgres:
            del found["PERIJOVE_DATABASE_URL"]
        if not self.s3:
            found = {name: value for name, value in found.items() if name == "PERIJOVE_DATABASE_URL"}
        found |= {"PERIJOVE_PUBLIC_URL": self.url, "PERIJOVE_LOCAL_ID": self.name}
        if self.tls:
            found["PERIJOVE_TLS_CERTIFICATE"] = str(PKI / "platform.crt")
            found["PERIJOVE_TLS_KEY"] = str(PKI / "platform.key")
            found["PERIJOVE_TLS_CA"] = str(CA)
        if self.ports:
            found["PERIJOVE_REPLICA_URL"] = self.url_of(replica)
        machine = {name: value for name, value in os.environ.items() if not name.startswith("PERIJOVE_")}
        return {**machine, **found, **self.settings}

    def _await(self, process: str, url: str) -> None:
        wait_for(f"{process} answers", partial(self._answers, process, url), seconds=START_SECONDS,
                 explain=partial(processes.last_words, process))  # fmt: skip

    def _answers(self, process: str, url: str) -> bool:
        processes.check(process)
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5, context=self.trust()) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

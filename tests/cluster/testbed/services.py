"""An S3 server and a PostgreSQL server at an address that pods reach as well as this machine does."""

import os
import secrets
import shutil
import socket
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from testbed import processes
from testbed.layout import ADDRESS, STATE
from testbed.ports import port_of
from testbed.steps import Failed, run, succeeds, wait_for

BUCKET = "perijove"
ACCESS_KEY = "perijove"
DATABASE = "perijove"
NOBODY = 65534
"""PostgreSQL refuses to run as root."""
PASSWORDS = STATE / "passwords"
_CONTENT = STATE / "s3"
_COPIED = STATE / "postgres" / "install"
_INSTALLED = _COPIED / "pgserver" / "pginstall" / "bin"


@dataclass(frozen=True)
class Address:
    """Where the two answer, with their credentials."""

    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    objects_url: str
    database_url: str

    def settings(self) -> dict[str, str]:
        """As the platform's environment variables."""
        return {
            "PERIJOVE_OBJECTS_URL": self.objects_url,
            "PERIJOVE_S3_ENDPOINT": self.s3_endpoint,
            "PERIJOVE_S3_ACCESS_KEY": self.s3_access_key,
            "PERIJOVE_S3_SECRET_KEY": self.s3_secret_key,
            "PERIJOVE_DATABASE_URL": self.database_url,
        }


def address(name: str = DATABASE) -> Address:
    """With a database of this name, and for objects a folder of the bucket."""
    return Address(
        s3_endpoint=f"http://{ADDRESS}:{port_of('s3')}",
        s3_access_key=ACCESS_KEY,
        s3_secret_key=_password("s3"),
        objects_url=f"s3://{BUCKET}/{name}",
        database_url=f"postgresql://{DATABASE}:{_password('postgres')}@{ADDRESS}:{port_of('postgres')}/{name}",
    )


def remove_objects(name: str) -> None:
    # rclone's buckets are folders.
    shutil.rmtree(_CONTENT / BUCKET / name, ignore_errors=True)


def ensure_database(name: str) -> None:
    found = _ask_postgres("psql", "-d", DATABASE, "-Atc", "select datname from pg_database")
    if name not in found.split():
        _ask_postgres("createdb", name)


def drop_database(name: str) -> None:
    """Connections to it are cut."""
    _ask_postgres("dropdb", "--force", "--if-exists", name)


def start_s3() -> None:
    (_CONTENT / BUCKET).mkdir(parents=True)
    rclone = Path(sysconfig.get_path("scripts"), "rclone")
    if not rclone.exists():
        raise Failed("There is no rclone in this environment: run `make setup-dev`.")
    # By the environment: a command line is everybody's to read. Quoted: it is a list with commas.
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{_password("s3")}"', "RCLONE_CONFIG": os.devnull}
    command: list[str | Path] = [rclone, "serve", "s3", "--addr", f"{ADDRESS}:{port_of('s3')}", _CONTENT]
    processes.start("s3", command, environment=environment)

    def answers() -> bool:
        processes.check("s3")
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, port_of("s3"))) == 0

    wait_for("the S3 server answers", answers, explain=lambda: processes.last_words("s3"))


def start_postgres() -> None:
    programs = _postgres_programs()
    folder = STATE / "postgres"
    data = folder / "data"
    password = folder / "password"
    password.write_text(_password("postgres"))
    for path in (folder, password):
        os.chown(path, NOBODY, NOBODY)
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    run([*as_nobody, programs / "initdb", "-D", data, "-U", DATABASE, f"--pwfile={password}", "-E", "UTF8",
         "--auth=scram-sha-256", "--no-sync"], cwd=folder)  # fmt: skip
    password.unlink()
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet scram-sha-256\n")
    options = [f"-h{ADDRESS}", f"-p{port_of('postgres')}", f"-k{folder}", "-cfsync=off", "-cmax_connections=200"]
    processes.start("postgres", [programs / "postgres", "-D", data, *options], cwd=folder, user=NOBODY)

    def ready() -> bool:
        processes.check("postgres")
        return succeeds([programs / "pg_isready", *_where()])

    wait_for("PostgreSQL is ready", ready, explain=lambda: processes.last_words("postgres"))
    _ask_postgres("createdb", DATABASE)


def _where() -> tuple[str, ...]:
    return ("-h", ADDRESS, "-p", str(port_of("postgres")))


def _ask_postgres(program: str, *arguments: str) -> str:
    environment = {**os.environ, "PGPASSWORD": _password("postgres")}
    return run([_INSTALLED / program, *_where(), "-U", DATABASE, *arguments], environment=environment)


def _postgres_programs() -> Path:
    """PostgreSQL of the package pgserver, copied to where a user without rights can read it."""
    found = find_spec("pgserver")
    if found is None or not found.submodule_search_locations:
        raise Failed("There is no pgserver in this environment: run `make setup-dev`.")
    package = Path(found.submodule_search_locations[0])
    # Side by side, as the programs look for the libraries that came with them.
    for source in (package / "pginstall", package.with_name("pgserver.libs")):
        shutil.copytree(source, _COPIED / source.relative_to(package.parent), symlinks=True)
    return _INSTALLED


def _password(name: str) -> str:
    """Made when first asked for."""
    file = PASSWORDS / name
    if not file.exists():
        PASSWORDS.mkdir(mode=0o700, exist_ok=True)
        file.write_text(secrets.token_hex(16))
    return file.read_text()

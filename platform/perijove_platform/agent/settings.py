"""What the agent is told, by environment variables and by the files that Kubernetes mounts.

``PERIJOVE_AGENT_PLATFORM_URL`` is needed; ``…_NAMESPACE``, ``…_INSTANCE``, ``…_CREDENTIAL_SECRET``,
``…_REGISTRATION_TOKEN_FILE``, ``…_CA_FILE``, ``…_LOG_LEVEL``, ``…_HEALTH_PORT`` and ``…_SERVICE_ACCOUNT_DIR`` have
defaults. ``HTTPS_PROXY`` and ``NO_PROXY`` hold for the platform, never for the kube-apiserver or pods.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PREFIX = "PERIJOVE_AGENT_"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOG_LEVELS = ("debug", "info", "warning", "error")
_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class SettingsError(ValueError):
    """The agent cannot start; says what to set."""


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """The variables, checked.

    Attributes:
        platform_url: without trailing slash.
        namespace: the agent's own.
        instance: which of several agents this is.
        credential_secret: name of the Secret that keeps the credential.
        registration_token_file: may be missing once the agent has registered.
        ca_file: certificates that have signed the platform's, instead of the system's.
        service_account: folder with ``token`` and ``ca.crt``.
        api_host: of the kube-apiserver.
        health_port: 0 takes a free one.
    """

    platform_url: str
    namespace: str
    instance: str
    credential_secret: str
    registration_token_file: Path | None
    ca_file: Path | None
    log_level: str
    service_account: Path
    api_host: str
    api_port: int
    health_port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "AgentSettings":
        """Raises `SettingsError`."""
        read = _Reader(environment)
        service_account = read.path("SERVICE_ACCOUNT_DIR") or SERVICE_ACCOUNT
        return cls(
            platform_url=read.url("PLATFORM_URL"),
            namespace=read.get("NAMESPACE") or _own_namespace(service_account),
            instance=read.matching("INSTANCE", _INSTANCE, f"agent-{secrets.token_hex(6)}"),
            credential_secret=read.matching("CREDENTIAL_SECRET", _DNS_NAME, "perijove-agent-credential"),
            registration_token_file=read.path("REGISTRATION_TOKEN_FILE"),
            ca_file=read.path("CA_FILE"),
            log_level=read.choice("LOG_LEVEL", LOG_LEVELS, "info"),
            service_account=service_account,
            api_host=environment.get("KUBERNETES_SERVICE_HOST") or "kubernetes.default.svc",
            api_port=read.port("KUBERNETES_SERVICE_PORT", environment.get("KUBERNETES_SERVICE_PORT"), 443),
            health_port=read.port(f"{PREFIX}HEALTH_PORT", read.get("HEALTH_PORT"), 8080),
        )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, name: str) -> str:
        return self._environment.get(PREFIX + name, "").strip()

    def url(self, name: str) -> str:
        value = self.get(name).rstrip("/")
        if not value:
            raise SettingsError(f"{PREFIX}{name} is not set: the platform's address, such as https://perijove.example.")
        try:
            parts = urlsplit(value)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or parts.query or parts.fragment or parts.username:
            raise SettingsError(f"{PREFIX}{name} is '{value}': it must be an http:// or https:// address.")
        return value

    def path(self, name: str) -> Path | None:
        value = self.get(name)
        return Path(value) if value else None

    def matching(self, name: str, pattern: re.Pattern[str], default: str) -> str:
        value = self.get(name) or default
        if not pattern.match(value):
            raise SettingsError(f"{PREFIX}{name} is '{value}', which is not a name.")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = (self.get(name) or default).lower()
        if value not in choices:
            raise SettingsError(f"{PREFIX}{name} is '{value}': it must be one of {', '.join(choices)}.")
        return value

    def port(self, variable: str, value: str | None, default: int) -> int:
        try:
            port = int(value or default)
        except ValueError:
            port = -1
        if not 0 <= port <= 65535:
            raise SettingsError(f"{variable} is '{value}': it must be a port number.")
        return port


def _own_namespace(service_account: Path) -> str:
    try:
        return (service_account / "namespace").read_text().strip()
    except OSError:
        raise SettingsError(
            f"{PREFIX}NAMESPACE is not set, and {service_account / 'namespace'} cannot be read: run the agent in a pod "
            "with a service account, or set the variable."
        ) from None

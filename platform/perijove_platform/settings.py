"""Configuration: environment variables with the prefix ``PERIJOVE_``, and the layout of the data directory."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from perijove_platform.discovery import cache_dir, default_data_dir

MIB = 1024 * 1024
GIB = 1024 * MIB
ClaimName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
MountPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.-]+)+$")]


class Settings(BaseSettings):
    """Everything that can be set from outside; one instance, made at start and handed down."""

    model_config = SettingsConfigDict(env_prefix="PERIJOVE_", extra="ignore")

    data_dir: Path = Field(default_factory=default_data_dir)
    cache_dir: Path = Field(default_factory=cache_dir)

    local_id: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?$")
    """Ends the ids of the platform's own organization, project and user (``proj-lab``). Drawn at random when the
    database is made, since platforms that share a cluster need different ones: a project's namespace is named after
    it."""
    database_url: SecretStr | None = None
    """``postgresql://user:password@host/name``; without it, SQLite in the data directory."""
    objects_url: str | None = None
    """``s3://bucket/prefix``; without it, a folder in the data directory."""
    s3_endpoint: str | None = None
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    s3_public_endpoint: str | None = None
    """Address of the same server as pods of a cluster reach it, where that differs from `s3_endpoint`."""
    public_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Address of this platform as pods and agents of clusters reach it; without it, no job can run on a cluster."""
    milvus_url: str | None = None
    """Address of a Milvus server; without it, Milvus Lite in the data directory."""
    milvus_token: SecretStr | None = None

    max_file_bytes: int = 8 * GIB
    max_upload_part_bytes: int = 64 * MIB

    hub_url: str = Field(default="https://huggingface.co", validation_alias="HF_ENDPOINT")
    hub_token: SecretStr | None = Field(default=None, validation_alias="HF_TOKEN")
    install_default_models: bool = True

    engine_memory_bytes: int | None = None
    """Budget of all engines together; by default half of the machine's memory."""
    engine_idle_seconds: float = 900.0
    engine_start_seconds: float = 120.0
    max_context_length: int = 8192
    max_concurrent_requests: int = 64
    max_queued_requests: int = 256

    max_running_jobs: int = 1
    max_queued_jobs: int = 1000
    job_memory_bytes: int | None = None
    job_start_seconds: float = Field(default=900.0, gt=0)
    """For which a job on a cluster may hold quota while its image cannot be pulled or no node takes its pod."""
    trainer_image: str = "perijove-trainer:0.1.0"
    """What fine-tunes on clusters run in; made from ``deploy/images/trainer``."""
    runner_image: str | None = None
    """What fetches the files of batch jobs on clusters; the trainer's image, or only its stage ``runner``."""
    trainer_cpus: float = Field(default=1.0, gt=0)
    trainer_memory_bytes: int = Field(default=4 * GIB, gt=0)
    """What each of their pods asks for."""
    trainer_volumes: dict[ClaimName, MountPath] = Field(default_factory=dict)
    """Claims of volumes that they mount read-only, and where, as JSON: ``{"models": "/opt/models"}``. A job of a
    project whose namespace has no such claim waits for it."""
    trainer_environment: dict[str, str] = Field(default_factory=dict)
    """Variables that they get, as JSON; nothing secret."""

    indexing_workers: int = 1

    replica_url: str | None = None
    """Where other replicas of the platform reach this one; needed when there are several."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    """PEM files, to answer https without a proxy in front; kubectl sends no credential otherwise."""
    tls_ca: Path | None = None
    """PEM file of certificates that pods have to believe besides the public ones: those that have signed the platform's
    own, or the object store's."""
    audit_records: int = Field(default=100_000, ge=1)
    """Kept of each project, for `audit_days` at most."""
    audit_days: int = Field(default=90, ge=1)
    outbox_rows: int = 20_000
    """Events kept for streams that resume."""
    log_format: Literal["text", "json"] = "text"

    @property
    def sql_url(self) -> str:
        """SQLAlchemy's address, with the async driver."""
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{self.data_dir / 'platform.db'}"
        url = self.database_url.get_secret_value()
        scheme, _, rest = url.partition("://")
        return f"postgresql+asyncpg://{rest}" if scheme in ("postgres", "postgresql") else url

    @property
    def api_key_file(self) -> Path:
        return self.data_dir / "api_key"

    @property
    def objects_dir(self) -> Path:
        return self.data_dir / "objects"

    @property
    def object_signing_key_file(self) -> Path:
        return self.data_dir / "object_signing_key"

    @property
    def vectors_dir(self) -> Path:
        return self.data_dir / "vectors"

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def jobs_dir(self) -> Path:
        return self.data_dir / "jobs"

    @property
    def engines_dir(self) -> Path:
        return self.data_dir / "engines"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

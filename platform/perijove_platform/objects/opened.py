"""The object store that the settings name."""

from urllib.parse import urlsplit

from perijove_platform.objects.base import ObjectStore
from perijove_platform.objects.folder import FolderStore
from perijove_platform.objects.signing import UrlSigner
from perijove_platform.settings import Settings


def open_store(settings: Settings) -> ObjectStore:
    """A folder of the data directory, or the bucket of ``objects_url`` (``s3://bucket/prefix``).

    Raises:
        ValueError: the address is not one of S3.
    """
    if settings.objects_url is None:
        return FolderStore(settings.objects_dir, UrlSigner(settings.object_signing_key_file, settings.public_url))
    url = urlsplit(settings.objects_url)
    if url.scheme != "s3" or not url.netloc:
        raise ValueError(f"PERIJOVE_OBJECTS_URL must be s3://bucket/prefix, this is '{settings.objects_url}'.")
    # Only here, so that a laptop never loads boto3.
    from perijove_platform.objects.s3 import S3Store

    return S3Store(
        bucket=url.netloc,
        prefix=url.path.strip("/"),
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        scratch=settings.data_dir / "scratch",
        public_endpoint=settings.s3_public_endpoint,
    )

"""`perijove/status` and `perijove/restart`."""

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.web import authenticated

from perijove.envelope import envelope
from perijove.platform_link import CannotRestart, PlatformLink

if TYPE_CHECKING:
    from perijove.application import PerijoveApp


class _LinkHandler(ExtensionHandlerMixin, APIHandler):
    auth_resource = "perijove"

    @property
    def link(self) -> PlatformLink:
        return cast("PerijoveApp", self.extensionapp).link


class StatusHandler(_LinkHandler):
    """How the platform is: `PlatformStatus` as JSON."""

    _track_activity = False

    @authenticated
    @authorized
    async def get(self) -> None:
        status = await self.link.status()
        self.finish(status.to_public())


class RestartHandler(_LinkHandler):
    """Starts the embedded platform again; 202 with its status, 409 when it is not ours to restart."""

    @authenticated
    @authorized
    async def post(self) -> None:
        try:
            await self.link.restart()
        except CannotRestart as error:
            self.set_status(HTTPStatus.CONFLICT)
            self.finish(envelope(str(error), code="not_restartable", server_error=False))
            return
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish((await self.link.status()).to_public())

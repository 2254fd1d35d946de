"""The `pod` target: a TCP connection to a pod that this platform itself started."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perijove_platform.agent.apiserver import ApiError, ApiServer, Unreachable
from perijove_platform.agent.relay import relay
from perijove_platform.agent.requests import BadTarget
from perijove_platform.agent.sockets import Socket
from perijove_platform.tunnel import Stream

PROJECT_LABEL = "perijove.dev/project"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")


class NotOurs(Exception):
    """There is no such pod for this project. What is another's reads like what is not there."""


@dataclass(frozen=True)
class PodTarget:
    """A port of a pod, and the project that it has to belong to."""

    namespace: str
    name: str
    port: int
    project: str

    @classmethod
    def parse(cls, target: Mapping[str, Any]) -> "PodTarget":
        """Raises `BadTarget`."""
        port = target.get("port")
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            raise BadTarget("The port must be a number from 1 to 65535.")
        return cls(
            _matching(target, "namespace", _NAME),
            _matching(target, "name", _NAME),
            port,
            _matching(target, "project", _PROJECT),
        )


def _matching(target: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = target.get(name)
    if not isinstance(value, str) or not pattern.match(value):
        raise BadTarget(f"The {name} of the pod is not one.")
    return value


class PodTargets:
    """Opens streams to pods, each after a look at pod and namespace: an address may be another pod's in a moment."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def serve(self, stream: Stream, target: Mapping[str, Any]) -> None:
        """Carry the connection to its end; a reset says why it could not be."""
        try:
            wanted = PodTarget.parse(target)
            address = await self._address_of(wanted)
        except BadTarget as error:
            stream.reset("bad_target", str(error))
            return
        except NotOurs as error:
            stream.reset("not_ours", str(error))
            return
        except (Unreachable, ApiError) as error:
            stream.reset("dial_failed", f"The pod could not be looked up: {error}")
            return
        try:
            socket = await Socket.dial(address, wanted.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "it does not answer"
            stream.reset("dial_failed", f"Port {wanted.port} of pod {wanted.name} cannot be dialled: {reason}.")
            return
        try:
            stream.accept()
            await relay(stream, socket, half_close=True)
        finally:
            socket.close()

    async def _address_of(self, wanted: PodTarget) -> str:
        """The pod's own address.

        Raises:
            NotOurs, Unreachable, ApiError: see there.
        """
        place = f"/api/v1/namespaces/{wanted.namespace}"
        try:
            # Whoever may make pods anywhere can label them; namespaces are labelled by us and by administrators.
            namespace = await self._server.request("GET", place)
            pod = await self._server.request("GET", f"{place}/pods/{wanted.name}")
        except ApiError as error:
            if error.status == 404:
                raise _no_pod(wanted) from None
            raise
        if _project_of(namespace) != wanted.project:
            raise _no_pod(wanted)
        return address_in(pod, wanted)


def _project_of(item: Mapping[str, Any]) -> Any:
    return ((item.get("metadata") or {}).get("labels") or {}).get(PROJECT_LABEL)


def _no_pod(wanted: PodTarget) -> NotOurs:
    return NotOurs(f"There is no pod {wanted.name} of this project.")


def address_in(pod: Mapping[str, Any], wanted: PodTarget) -> str:
    """The address to dial, if the pod may be.

    Raises:
        NotOurs: it may not.
    """
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    # On the node's network its address is the node's, and so are the ports.
    if _project_of(pod) != wanted.project or spec.get("hostNetwork"):
        raise _no_pod(wanted)
    address = status.get("podIP")
    if status.get("phase") != "Running" or not address:
        raise NotOurs(f"Pod {wanted.name} is {status.get('phase', 'not there')}, not Running.")
    return str(address)

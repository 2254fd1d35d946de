"""What transports of tests have in common."""


class AlwaysReachable:
    """The part of a `Transport` that tells of the way: it is there. The base of fakes that give the answers."""

    def reachable(self) -> bool:
        return True

    async def wait_reachable(self) -> None:
        return

    async def close(self) -> None:
        return

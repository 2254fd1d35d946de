"""`python -m perijove_platform.agent`; `settings` has what it is told."""

import asyncio
import contextlib
import logging
import os
import signal
import sys

from perijove_platform.agent.service import Agent
from perijove_platform.agent.settings import AgentSettings, SettingsError
from perijove_platform.tunnel.descriptors import raise_descriptor_limit

_log = logging.getLogger("perijove_platform.agent")


def main() -> int:
    """The exit status: 0 after SIGTERM, 2 when the settings are wrong."""
    raise_descriptor_limit()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, level=logging.INFO)
    try:
        settings = AgentSettings.from_environment(os.environ)
        logging.getLogger().setLevel(settings.log_level.upper())
        return asyncio.run(_run(settings))
    except SettingsError as error:
        _log.error("%s", error)
        return 2
    except OSError as error:
        _log.error("The health port cannot be opened: %s.", error)
        return 2


async def _run(settings: AgentSettings) -> int:
    agent = Agent(settings)
    running = asyncio.create_task(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    _log.info("Agent %s of namespace %s dials %s", settings.instance, settings.namespace, settings.platform_url)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    _log.info("Stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())

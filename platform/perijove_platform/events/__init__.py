"""What happened, in order: an outbox that is written with the change itself, and the stream that reads it."""

from perijove_platform.events.service import EventBus, Recorded

__all__ = ["EventBus", "Recorded"]

"""The embedded broker, and topics for each test."""

from tests.stream.commands.conftest import embedded_bootstrap, shop

__all__ = ["embedded_bootstrap", "shop"]

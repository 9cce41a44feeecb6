"""The commands about streams, and what they need of brokers."""

INSTALL = "make client CLIENT_SET=client-streams, or pip install -r requirements/client-streams.txt"
"""What to do where a library is missing."""

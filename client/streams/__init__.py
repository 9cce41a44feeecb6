"""The commands about streams, and what they need of brokers."""

"""Processes that run what is foreign: within limits, without a network, and no longer than whoever asked."""

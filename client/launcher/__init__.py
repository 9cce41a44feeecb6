"""Boots an instance in a cloud and waits until it answers: configuration → preflight → plan → apply."""

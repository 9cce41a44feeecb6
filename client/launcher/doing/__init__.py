"""Carries plans out, waits, and takes back what was made: all that changes something."""

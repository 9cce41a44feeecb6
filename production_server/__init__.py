"""Celeriac's server: one package, two processes (web and worker), one command line."""

__version__ = "0.1.0"

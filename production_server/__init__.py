"""Celeriac's server: one package, two processes (web and worker), one command line."""

"""The one adapter of the launcher to OpenStack: the only package that knows its libraries."""

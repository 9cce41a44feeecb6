"""What runs on a user's own machine. It knows the server only by HTTP."""

__version__ = "0.1.0"

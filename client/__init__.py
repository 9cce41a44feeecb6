"""What runs on a user's own machine. It knows the server only by HTTP."""

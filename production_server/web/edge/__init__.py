"""What stands before the views and beside them: door, request ids, bodies, waits, problems; what the process has."""

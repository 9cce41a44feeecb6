"""Services that the tests start for themselves; they share nothing and leave nothing behind."""

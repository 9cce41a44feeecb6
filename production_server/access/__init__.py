"""Who may do what: keys, the clients that have them, and what they may do. Knows no HTTP."""

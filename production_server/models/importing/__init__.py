"""Foreign files into versions: what somebody has becomes what is served, in a process of its own."""

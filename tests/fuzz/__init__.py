"""What reads bytes of strangers, and a machine that tries to break it: `make fuzz`."""

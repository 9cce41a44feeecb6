"""What is measured, and how. Both sides of a ratio are measured in one run, in turns: machines are noisy."""

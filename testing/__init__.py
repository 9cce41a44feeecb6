"""Services that tests and benchmarks start for themselves, and doubles; they share nothing and leave nothing behind."""

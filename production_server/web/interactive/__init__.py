"""Interactive calls: the protocols that existing clients speak, and the way from a request to a worker and back."""

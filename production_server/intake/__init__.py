"""Where every door hands in what it was given: inputs are checked, stored, and then on their way to the workers."""

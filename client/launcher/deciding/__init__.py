"""What is asked for, what of it would fail, and the plan: values and pure functions over what was read."""

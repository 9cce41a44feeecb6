"""What people say of items: decisions, the questions that lead to them, and sets of labels to train on."""

"""From labels to a better model: when a model is trained again, on what, and how the result goes on."""

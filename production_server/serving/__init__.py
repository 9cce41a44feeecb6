"""Which versions serve: channels and what they name, retired versions, and every change of that."""

"""The instance as a machine: its code and first boot, its console, the ways in. It knows no cloud."""

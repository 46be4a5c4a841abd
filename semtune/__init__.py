"""semtune: finds the network that scores the quality of SEM frames as a specialist does."""

__version__ = "0.1.0"

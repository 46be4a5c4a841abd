"""Scores given by people, on a page of the loopback address."""

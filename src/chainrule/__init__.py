"""Backpropagation through plain NumPy code that shows its work."""

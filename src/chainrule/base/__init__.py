"""What every other folder stands on: errors, trees, dtypes and shapes.  Imports nothing of the project."""

"""The command line: ``chainrule train`` and ``chainrule predict``."""

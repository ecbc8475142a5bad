"""Benchmarks, side by side with peers: ``python -m bench``.

Every suite runs ours and the peers on the same arrays and the same functions, checks that the results agree before it
times anything, and alternates between the contestants so that a slow moment of the machine hits all.  In the table
(``table.py``) each has a process of its own; the suites ``engine`` and ``products`` need only one.
"""

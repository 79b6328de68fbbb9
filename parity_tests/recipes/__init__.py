"""What other libraries and folklore do, against the one line that does it here: value and gradient, in float64.

``mappings.py`` has the lines, word for word as ``docs/coming-from.md`` prints them. Where another library can be
installed, a script of this folder asks it in a process of its own; where it cannot, ``published.py`` states its formula
in NumPy and ``published.json`` records what that gives.
"""

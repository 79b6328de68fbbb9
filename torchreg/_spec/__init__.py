"""What the two packages share, word for word: names, targets, terms, the layout language and the error sentences.

Standard library only. The same bytes stand in ``torchreg/_spec`` and ``jaxreg/_spec``; a test holds them equal.
"""

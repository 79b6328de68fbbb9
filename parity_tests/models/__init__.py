"""The same networks in PyTorch, linen, nnx and NumPy, with the same weights, under the same regularizer.

A network is a list of named layers (``networks.py``). Weights and gradients travel in the canonical layout, ``out, in,
k0, k1`` for a kernel and feature-last for an activation, and each world has a small function that ports them.
``reference.py`` is the oracle: forward and backward in NumPy, with the penalties of ``oracles/``.
"""

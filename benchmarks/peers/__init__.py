"""The same training as a user of torch would write it, for an interpreter that has torch.

Nothing in here imports JAX or this library, so that each may have an environment of its own.
"""

"""Several processes that work as one: how they meet, exchange, and end when one of them is gone.

Each process drives the devices of its machine and runs the same program, so whatever decides what
is done next has to be the same in all of them: it is exchanged, or read by the first and told.
"""

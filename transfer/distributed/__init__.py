"""Several processes that work as one: how they join, exchange, and end when one of them is lost.

Each process drives the devices of its machine and runs the same program. Whatever decides what is
done next has to be the same in all of them, so it is exchanged, or read by the first and broadcast.
"""

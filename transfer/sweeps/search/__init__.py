"""Adaptive search: which points a sweep tries next, and when it may stop.

All of it is arithmetic on recorded trials and a seed, with numpy and scikit-learn, and trains
nothing:

| file           | what it holds                                                              |
|----------------|----------------------------------------------------------------------------|
| `box.py`       | the searched hyperparameters in octaves, and the points that may be tried  |
| `prior.py`     | what is expected before any trial, and why                                 |
| `surrogate.py` | the loss over hyperparameters and width, as a posterior given trials       |
| `proposals.py` | the points whose losses are expected to improve the recommendation most    |
| `decision.py`  | a search at all widths: points for the next round, or that it is over      |

Its modules are imported where they are needed, since scikit-learn and scipy take seconds to load.
"""

"""Compiles training programs for TPUs that are not there, and reads off what they take and cost.

topology -> mesh -> the program of a group, compiled -> memory, products, traffic, messages
  -> the time of a step at best
"""

from transfer.plan.fitting import Fit, fit
from transfer.plan.plan import Plan, make_plan, step_flops
from transfer.plan.program import TooLargeError
from transfer.plan.sweep import SweepPlan, plan_sweep
from transfer.plan.table import plan_table, sweep_table, too_large

__all__ = [
    "Fit",
    "Plan",
    "SweepPlan",
    "TooLargeError",
    "fit",
    "make_plan",
    "plan_sweep",
    "plan_table",
    "step_flops",
    "sweep_table",
    "too_large",
]

"""Compiles training programs for TPUs that are not there, and reads off what they take and cost."""

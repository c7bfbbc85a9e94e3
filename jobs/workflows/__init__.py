"""
Work of several steps that outlives every process: one writer at a time, each step once, timers.

Declare one by `WorkflowDefinition` in a module `workflows` of an app, which is found by itself.
"""

from jobs.workflows.definition import StepRun, TimerRun, WorkflowDefinition

__all__ = ["StepRun", "TimerRun", "WorkflowDefinition"]

"""
Schedules that keep their slots: which there are, what became of each, and beat's scheduler.

`timing` says when, `decide` says whether, `firing` writes it down, `scheduler` watches the clock.
"""

"""The execution of a translated kernel: sets of lanes, memory, barriers, and the scheduler of basic blocks."""

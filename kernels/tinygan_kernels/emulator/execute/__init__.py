"""Running a translated kernel: lanes, memory, barriers and the scheduler of blocks."""

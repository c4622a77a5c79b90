"""Time travel: a launch recorded step by step, and stepped through forward and back. In reading order: debug_information, recorder,
trace, launches, session.
"""

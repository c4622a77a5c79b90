"""Runs PTX on the CPU: parse, execute, check, count."""

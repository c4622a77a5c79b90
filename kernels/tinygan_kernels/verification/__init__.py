"""Verification: every kernel on hard cases, judged by the reference inside a derived bound."""

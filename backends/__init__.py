"""Targets: what generated code looks like on each, and what runs it."""

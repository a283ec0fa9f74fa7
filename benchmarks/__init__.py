"""Benchmarks of `fmwidget` against the tutorial's loop and against lower bounds."""

"""Fakes, clocks and contract suites for those who build on Kratos."""

"""Ops supervisor and watchdog for vision-language model serving."""

__version__ = "0.1.0"

"""Every figure the README quotes: `python -m benchmarks.NAME [--quick] [--json]`.

The JSON is `{machine, figures: {name: number}, runs: [...]}`.
"""

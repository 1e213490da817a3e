"""``manage.py benchmark``: the product against its floor, in one run. See docs/benchmarks.md.

Each measured thing is a *step* that runs in a separate process, with the product's settings, on a scratch
database: so its peak memory is its own, and nothing is warm that is not warm in daily use.
"""

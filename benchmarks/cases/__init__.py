"""The measured code. Every case is a function `case(size, **options) -> Sample`.

Each one warms up with a small share of its work first (the interpreter specialises hot code), then
measures, then asks the ledger; both sides of a ratio run the same handler.
"""

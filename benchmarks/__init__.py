"""Benchmarks of trioqueue against plain Trio, asyncio and its peers.

Run `python -m benchmarks`; `--help` lists the options.

    cli        arguments, exit codes, order of a session
    runner     one subprocess per measurement, rounds interleaved
    child      the other end of that subprocess
    plan       what is compared with what, and the goals
    runs       every (system, case) that can be measured, and its size
    judge      samples -> reports, by the pure functions of arithmetic
    table, chart, record   text, SVG and JSON
    pacer, crew, scratch   other processes, and files, that cases need
    server, producer, hand     the three sides of a Redis case
    cases/     the measured code; a peer is imported by its own file alone

Only ratios of one interleaved session mean anything: absolute figures move by a factor of two
between machines and between two minutes on a busy one.
"""

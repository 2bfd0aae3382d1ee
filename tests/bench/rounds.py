"""Interleaved rounds for benchmarks that run whole programs."""
import os
import pathlib
import statistics
import time


def measure(contestants, rounds):
    """contestants: name -> function that does one round and returns its time. Each in turn, round by round."""
    samples = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            samples[name].append(run())
    values = {}
    for name, taken in samples.items():
        median = statistics.median(taken)
        low, _, high = statistics.quantiles(taken, n=4) if len(taken) > 1 else (median,) * 3
        values[name] = (median, (high - low) / 2 / median if median > 0 else 0)
    return values


def thread_seconds(process, thread):
    """CPU time of one thread, in seconds: schedstat's first number is nanoseconds."""
    return int(pathlib.Path(f"/proc/{process}/task/{thread}/schedstat").read_text().split()[0]) * 1e-9


def busiest_thread(process):
    threads = [int(name) for name in os.listdir(f"/proc/{process}/task")]
    before = {thread: thread_seconds(process, thread) for thread in threads}
    time.sleep(0.3)
    return max(threads, key=lambda thread: thread_seconds(process, thread) - before[thread])


def row(kind, name, unit, values, absent=()):
    return {"kind": kind, "name": name, "unit": unit, "group": "", "values": values, "absent": list(absent)}

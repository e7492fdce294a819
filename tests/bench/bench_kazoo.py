#!/usr/bin/python3
"""bench_kazoo.py lock|handover SERVERS SECONDS|COUNT - ZooKeeper's lock recipe as kazoo has it, as bench_mount's.

lock      acquire and release of a lock that nobody else wants
handover  from the call of release() in one client to the lock in another, which waits for it
"""
import multiprocessing
import sys
import time

from kazoo.client import KazooClient


def connect(servers):
    client = KazooClient(hosts=servers)
    client.start()
    return client


def tell(latencies, seconds):
    latencies.sort()
    print("%.1f %.1f %.1f" % (len(latencies) / seconds, latencies[len(latencies) // 2],
                              latencies[len(latencies) * 99 // 100]))


def measure_lock(servers, seconds):
    client = connect(servers)
    lock = client.Lock("/bench-lock", "one")
    latencies = []
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        start = time.monotonic()
        lock.acquire()
        lock.release()
        latencies.append((time.monotonic() - start) * 1e6)
    tell(latencies, time.monotonic() - begun)
    client.stop()


def take_turns(servers, count, released, ended, told):
    client = connect(servers)
    lock = client.Lock("/bench-handover", "one")
    latencies = []
    for _ in range(count):
        lock.acquire()
        now = time.monotonic()
        if released.value:
            latencies.append((now - released.value) * 1e6)
        while not ended.value and len(lock.contenders()) < 2:
            pass  # the other is on its way into the queue
        released.value = time.monotonic()
        lock.release()
    ended.value = True
    told.put(latencies)
    client.stop()


def measure_handover(servers, count):
    released, ended = multiprocessing.Value("d", 0.0), multiprocessing.Value("b", False)
    told = multiprocessing.Queue()
    begun = time.monotonic()
    turns = [multiprocessing.Process(target=take_turns, args=(servers, count // 2, released, ended, told))
             for _ in range(2)]
    for process in turns:
        process.start()
    latencies = told.get() + told.get()
    for process in turns:
        process.join()
    tell(latencies, time.monotonic() - begun)


if len(sys.argv) != 4:
    sys.exit(__doc__)
if sys.argv[1] == "lock":
    measure_lock(sys.argv[2], float(sys.argv[3]))
else:
    measure_handover(sys.argv[2], int(sys.argv[3]))

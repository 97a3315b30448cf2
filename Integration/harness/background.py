# SPDX-License-Identifier: MIT
# Somebody who goes on by himself while a test does something else, in a thread of his own.
# What he did is read when he has ended, or under his own lock.

import threading


class Background:
    """`run` goes on from the beginning of a `with` block until its end, when `stopped` is set."""

    def __init__(self):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

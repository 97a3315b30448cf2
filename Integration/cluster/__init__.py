# SPDX-License-Identifier: MIT
# Real nodes behind a real HAProxy under steady load, and what must hold when they are restarted, killed, frozen or cut off.
# A seed makes a run repeatable; every run leaves a line of figures in out/cluster/results.jsonl, which report.py prints.

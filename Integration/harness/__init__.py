# SPDX-License-Identifier: MIT
# Starts, watches and ends real processes for the tests: ours, and the services and clients they are tested with.
# Ends only what it started, by its process id; everything stays on loopback.

# SPDX-License-Identifier: MIT
# Starts, watches and ends real processes for the tests: ours, and the services and clients they are tested with.

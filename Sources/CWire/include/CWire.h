// SPDX-License-Identifier: MIT
// CWire: the pure wire parsers and writers. Umbrella header.
//
// Every function here is a value function: bytes in, values out. No malloc, no globals, no clock, no libuv; callable from
// any thread. Parsers are three-state: > 0 bytes consumed, 0 need more and nothing changed, < 0 an error (CW_E...) that
// stays: offering the same bytes, or the same bytes and more, gives the same error.
#ifndef CWIRE_H
#define CWIRE_H

#include "cw_error.h"
#include "cw_ws_frame.h"
#include "cw_ws_mask.h"
#include "cw_yamux_frame.h"
#include "cw_chunked.h"
#include "cw_head_scan.h"

#endif

// SPDX-License-Identifier: MIT
// CUV: the engine. All sockets, timers and the byte-moving hot path, in C on libuv. Umbrella header.
//
// Rules that hold for every function here:
// - One pthread = one libuv loop = one mailbox. Except for cuv_loop_post, cuv_loop_stop and the functions that say so, everything
//   about a loop and what lives on it is called on that loop's thread.
// - Functions return 0 or a negative CUV_E... (libuv's own codes pass through: both are negative errno-like values).
// - Callbacks never run inside the call that causes them, unless the function says so.
// - Whoever passes a context pointer keeps it valid until the object's on_closed has run. After on_closed: nothing.
#ifndef CUV_H
#define CUV_H

#include "cuv_error.h"
#include "cuv_loop.h"
#include "cuv_timer.h"
#include "cuv_stream.h"
#include "cuv_tcp.h"
#include "cuv_listener.h"
#include "cuv_udp.h"
#include "cuv_resolve.h"
#include "cuv_signal.h"
#include "cuv_flow.h"
#include "cuv_tls.h"
#include "cuv_move.h"
#include "cuv_ws.h"
#include "cuv_yamux.h"
#include "cuv_handshake.h"
#include "cuv_seal.h"

#endif

// SPDX-License-Identifier: MIT
// A WebSocket (RFC 6455) after its upgrade, as a stream: the payloads of binary messages in order are its bytes, message borders mean
// nothing. The HTTP upgrade itself is Swift's.
#ifndef CUV_WS_H
#define CUV_WS_H

#include "cuv_stream.h"

typedef struct cuv_ws_config {
    bool client;        ///< we dialled: mask what we send, refuse masked frames; else the other way round
    bool half_close;    ///< both ends agreed (ours): an empty binary message is the end of one direction; else shut sends a close frame
} cuv_ws_config;

/// Makes a WebSocket stream that owns `carrier` (open, its upgrade head taken; bytes kept there are its first frames). Takes over reader, writer and
/// owner of the carrier; closing the one closes the other. One write becomes one binary message. Pings are answered; pongs are
/// ignored; a text message or a malformed frame is CUV_E_PROTOCOL; a close frame is answered and is an end; an end of the carrier without one
/// is an end too; a reset of the carrier breaks it. It keeps no queue of its own. NULL only without memory.
cuv_stream *cuv_ws_wrap(cuv_stream *carrier, const cuv_ws_config *config, const cuv_owner *owner, void *ctx);

#endif

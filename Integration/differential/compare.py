# SPDX-License-Identifier: MIT
# Holds one reading against another, and what came in against what goes out.
# What it returns is empty when both mean the same; each line else is a disagreement.


def differences(ours, theirs):
    """Where `theirs` (a Reading or a Refusal) does not mean what `ours` (a Reading) means."""
    if hasattr(theirs, "why"):
        return [f"refused: {theirs.why}"]
    found = []
    for what in ("start", "version", "fields", "framing"):
        one, other = getattr(ours, what), getattr(theirs, what)
        if one != other and (what != "fields" or meant(one) != meant(other)):
            found.append(f"{what}: {one!r} is {other!r} to them")
    # Closing where they would go on is safe; going on where they close is not.
    if ours.keepalive and not theirs.keepalive:
        found.append("keepalive: they close")
    return found


def meant(fields):
    """Fields without what has no meaning: the case of a transfer coding (h11 tells it in lower case)."""
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in fields]


HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"proxy-authenticate", b"proxy-authorization"}
CONTROL = {b"x-piko-forward", b"x-piko-authorization"}
# Connection takes none of these away (design.md, "What reaches the service").
KEPT = {b"host", b"content-length", b"transfer-encoding", b"expect", b"trailer", b"authorization", b"cookie", b"set-cookie", b"date"}
KEPT |= {b"server", b"content-type", b"content-encoding", b"cache-control", b"location", b"forwarded", b"via"}
KEPT |= {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}


def nominated(fields):
    names = b",".join(value for name, value in fields if name == b"connection").split(b",")
    return {name.strip(b" \t").lower() for name in names} - KEPT


def end_to_end(reading):
    """The fields that are to reach the far end, in order."""
    gone = HOP | CONTROL | {one for one in nominated(reading.fields) if not one.startswith((b"x-piko-", b"sec-websocket-"))}
    return [(name, value) for name, value in reading.fields if name not in gone]


def changes(ours, out):
    """Where the head that was sent on (`out`, read again) does not mean what came in (`ours`)."""
    if hasattr(out, "why"):
        return [f"the rewritten head is refused: {out.why}"]
    found = []
    old = ours.version == b"1.0" and isinstance(ours.start[0], bytes)
    came, went = end_to_end(ours), end_to_end(out)
    if old:
        came = [field for field in came if field[0] not in (b"host", b"expect")]
        went = [field for field in went if field[0] != b"host"]
    if came != went:
        found.append(f"fields: {came!r} became {went!r}")
    if (ours.framing, ours.upgrade) != (out.framing, out.upgrade):
        found.append(f"framing, upgrade: {ours.framing} {ours.upgrade} became {out.framing} {out.upgrade}")
    if out.version != b"1.1":
        found.append(f"version: {out.version!r}")
    return found + (start_changes(ours, out) if isinstance(ours.start[0], bytes) else [])


def start_changes(ours, out):
    method, _ = ours.start
    path = ours.path or (b"*" if method == b"OPTIONS" else b"/")
    path = b"/" + path if path.startswith(b"?") else path
    return [] if out.start == (method, path) else [f"start: {ours.start!r} became {out.start!r}"]

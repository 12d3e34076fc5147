/*
 * protocol.h - what crosses the Unix socket between a gate and the egress.
 *
 * The socket is the sandbox: it lies in the sandbox's own folder, and who connects there is that sandbox. One connection
 * is the control connection; each TCP connection of the guest has one of its own. A frame has 8 bytes before its payload,
 * big-endian: type u8, version u8, payload length u16, seq u32.
 *
 *   type       from     where                      payload
 *   HELLO      gate     control, first             flags u32: bit 0 says that internet sockets are gone from this process
 *   QUERY      gate     control                    IPv4 4, port 2, DNS message; seq names the guest's socket
 *   REPLY      egress   control                    the same address and port, DNS message; the same seq
 *   END        egress   control                    none; the connection of that seq ends here: it was sent whole
 *   CONNECT    gate     its own connection, first  IPv4 4, port 2; seq names the connection
 *
 * CONNECT is answered by one byte, ACCEPTED or REFUSED. What follows is the guest's bytes, nothing else; half-close is
 * shutdown(). A connection that ends without END was cut: the guest sees a reset. So what a dying egress leaves is never
 * taken for complete, and a reset needs no frame: the egress closes. It sends END before it half-closes.
 *
 * Frames of another kind, or in another place, end the connection. The twin is src/network/egress/frames.ts.
 */
#ifndef BOUGH_GATE_PROTOCOL_H
#define BOUGH_GATE_PROTOCOL_H

#define GATE_PROTOCOL_VERSION 1

/*
 * Environment of the VMM: the sandbox's socket at the egress. Without it the library does nothing at all; where it is empty there is no egress,
 * and what is left is that the process can make no internet socket.
 */
#define GATE_ENV_SOCKET "BOUGH_GATE_SOCKET"
/* And where the port that is forwarded to the guest's agent listens, a path. Without it nothing can be forwarded. */
#define GATE_ENV_FORWARD "BOUGH_GATE_FORWARD"

enum frame_type { FRAME_HELLO = 1, FRAME_QUERY = 2, FRAME_REPLY = 3, FRAME_END = 4, FRAME_CONNECT = 5 };
enum verdict { VERDICT_ACCEPTED = 0, VERDICT_REFUSED = 1 };

#define HELLO_SEALED 1u

#define FRAME_HEADER_BYTES 8
#define ADDRESS_BYTES 6
/* A DNS message over UDP with the largest size resolvers announce. */
#define DNS_MESSAGE_MAX 4096
#define FRAME_PAYLOAD_MAX (ADDRESS_BYTES + DNS_MESSAGE_MAX)
#define FRAME_BYTES_MAX (FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX)

#endif

/*
 * Sessions on virtio-serial ports: one at a time on each, one after the other, with two more frames that make up for what TCP tells by itself.
 *
 *   HELLO   from the client: what was under way is lost. It is given back, so that the client knows what came before it.
 *   CLOSE   ends a session, one from each side.
 *
 * A port whose host went away, or sends what is no frame, is closed and opened again: Linux throws away what was on its way. Until there is a host
 * it says so for ever, and is watched for changes alone (EPOLLET).
 */
#ifndef AGENT_SERIAL_H
#define AGENT_SERIAL_H

struct session;

/* The ports are vport2p1 and following in that folder; those that are not there are tried again by ports_reset(). */
void ports_open(int folder);

/* Opens all ports again, but for the one that carries `keep`. */
void ports_reset(const struct session *keep);

/* Opens those again that must be; between turns of the loop. */
void ports_sweep(void);

#endif

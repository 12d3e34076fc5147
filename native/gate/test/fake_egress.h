/*
 * fake_egress.h - an egress for the gate's tests: what it does with a connection is in the port that the guest asked for.
 */
#ifndef BOUGH_GATE_TEST_FAKE_EGRESS_H
#define BOUGH_GATE_TEST_FAKE_EGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fake_port {
	PORT_ECHO = 80,       /* accepts and echoes; half-closes after the guest did */
	PORT_REFUSE = 81,     /* refuses */
	PORT_STALL = 82,      /* never decides */
	PORT_CUT = 83,        /* accepts, sends 4 bytes, and closes without END */
	PORT_WHOLE = 84,      /* accepts, sends 4 bytes, END, and half-closes */
	PORT_CUT_AFTER = 85,  /* accepts, waits for the guest's half-close, and closes without END */
	PORT_VANISH = 86,     /* closes without a verdict */
	PORT_NONSENSE = 87,   /* says something that is no verdict */
	PORT_DNS_SPEAKER = 53 /* echoes too: TCP to port 53 is TCP */
};

struct fake_egress {
	const char *path;
	int listen_fd;
	int control_fd;       /* -1 when there is none */
	atomic_uint hellos;   /* how many control connections said HELLO */
	atomic_uint flags;    /* of the last */
	atomic_uint queries;
	atomic_bool is_silent; /* does not answer queries */
};

/* Begins to listen and to serve, in threads. */
void fake_egress_start(struct fake_egress *egress, const char *path);
/* As if it were killed: nobody listens, the control connection is gone. */
void fake_egress_kill(struct fake_egress *egress);
/* Says bytes on the control connection that no egress would. */
void fake_egress_say(struct fake_egress *egress, const void *bytes, unsigned size);
/* Waits until the count has been reached, ten seconds at most; false if it was not. */
bool fake_egress_await(atomic_uint *count, unsigned wanted);

#endif

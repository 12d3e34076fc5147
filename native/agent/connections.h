/*
 * The TCP connections a copy was born with. Their other ends are of the machine it was copied from and know nothing of this one: who sends
 * is answered by a reset, but who only reads would wait for ever. So they are ended, and programs see ECONNABORTED at once.
 *
 * Ended are those of the address over which this machine's owner talks to the agent, besides the agent's own; a connection that stays
 * inside the machine has both ends here and goes on. So does one that is still being made: its next packet opens it anew.
 *
 * Not handled: network namespaces that programs made; kernels without tcp_diag and INET_DIAG_DESTROY, where nothing is ended; UDP,
 * in which nothing tells a copy from a packet that was lost.
 */
#ifndef AGENT_CONNECTIONS_H
#define AGENT_CONNECTIONS_H

/* `agent_fd` is a connection of the owner to the agent. Never fails: a copy that cannot do this is one whose readers wait. */
void connections_end_inherited(int agent_fd);

#endif

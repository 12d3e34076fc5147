/*
 * What a program left running may go on writing to the pipes it was given: they are read on, and what comes is thrown away, as long
 * as anybody holds them. Otherwise a server that was started with & would die of its next line of log.
 */
#ifndef AGENT_LEFTOVER_H
#define AGENT_LEFTOVER_H

/* Takes the descriptor. Closes it at once when there is no memory left for it, or there are too many. */
void leftover_adopt(int fd);

#endif

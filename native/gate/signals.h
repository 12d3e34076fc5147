/*
 * signals.h - a filter of the kernel's: from here on this process, and what it becomes, signals nobody but itself, and has no file send a signal for it.
 *
 * Linux 6.12 can be asked for that (Landlock's scopes); this holds before too, as on Debian 12. Processes that it starts could not even signal themselves.
 */
#ifndef BOUGH_GATE_SIGNALS_H
#define BOUGH_GATE_SIGNALS_H

/* Of the process, which has one thread and may gain no privileges. 0, or -errno. */
int signals_confine(void);

#endif

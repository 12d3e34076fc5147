/* forwarding.h - of calls.c: whoever connects to the path of the listening socket, which nobody else may accept from meanwhile. */
#pragma once

void check_forwarding(int listener);

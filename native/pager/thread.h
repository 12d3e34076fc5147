/*
 * thread.h - a thread of the pager's inside QEMU. It takes no signals: QEMU's are for QEMU's threads.
 */
#ifndef BOUGH_THREAD_H
#define BOUGH_THREAD_H

#include <pthread.h>

int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif

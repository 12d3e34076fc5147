/* filter.h - words for filters of system calls (seccomp), which are little programs over `struct seccomp_data`. */
#ifndef BOUGH_GATE_FILTER_H
#define BOUGH_GATE_FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "The filter is written for x86_64 and aarch64"
#endif

/* x32 has the architecture of x86_64, and its calls this bit. */
#define OTHER_ABI_BIT 0x40000000u

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS_EQUAL(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define IF_EQUAL(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

#endif

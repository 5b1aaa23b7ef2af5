/*
 * What the fault library and its driver (tests/lib/faults.py) share: one mapped file.
 *
 * The library is preloaded into every program of an instance. It counts the calls of each kind that a
 * program makes, and at one of them, chosen before, it fails, kills the program, or freezes the whole
 * machine as a power cut does: from then on no program gets another call through. Every change of a
 * file or a directory is written down, so that what was never synced can be taken away afterwards.
 */
#ifndef FACTEUR_TESTS_FAULT_H
#define FACTEUR_TESTS_FAULT_H

#include <stdatomic.h>
#include <stdint.h>

enum fault_call {
    FAULT_WRITE,  /* to a regular file */
    FAULT_FSYNC,  /* of whatever kind */
    FAULT_RENAME,
    FAULT_LINK,
    FAULT_UNLINK,
    FAULT_OPEN,   /* one that may create */
    FAULT_SEND,   /* to a socket */
    FAULT_COMMIT, /* of SQLite */
    FAULT_ACCEPT,
    FAULT_FORK,
    FAULT_MEMFD,
    FAULT_MALLOC,
    FAULT_CALLS
};

enum fault_action { FAULT_FAIL = 1, FAULT_KILL, FAULT_KILL_AFTER, FAULT_POWER };

#define FAULT_PROGRAMS 16
#define FAULT_NAME 192
#define FAULT_EVENTS 400000

/* dir, name: the directory's inode and the entry; to_*: where a rename or a link leads. */
struct fault_event {
    _Atomic uint32_t ready; /* the rest is filled in */
    uint32_t call;
    uint64_t inode;
    uint64_t dir, to_dir;
    uint64_t kept;      /* rename: what it replaced is .fault-<kept>; 0: nothing */
    uint64_t size, end; /* write: the file's size before it, and the byte after its last */
    char name[FAULT_NAME], to_name[FAULT_NAME];
};

struct fault_shared {
    _Atomic uint32_t armed; /* the driver sets it last */
    uint32_t action, call, error;
    uint64_t at; /* the call that it is, from 1 */
    uint64_t device; /* only files there are written down */
    char program[16];
    _Atomic uint32_t fired, frozen;
    _Atomic uint64_t events, kept;
    char names[FAULT_PROGRAMS][16];
    _Atomic uint64_t counts[FAULT_PROGRAMS][FAULT_CALLS];
    struct fault_event event[FAULT_EVENTS];
};

#endif

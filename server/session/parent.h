/* The warmed parent of all sessions, started by the master. */
#ifndef FACTEUR_SESSION_PARENT_H
#define FACTEUR_SESSION_PARENT_H

int parent_main(int argc, char **argv); /* the exit status for main */

#endif

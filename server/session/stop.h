/*
 * session/stop: signals that end a session, so that it can say why.
 *
 * A blocking session waits in many places for its client. When SIGTERM (the server stops) or SIGHUP (the user
 * may not be logged in any more) comes, the input's descriptor becomes one that is at its end: no wait can miss
 * that. The command under way is finished and answered.
 */
#ifndef FACTEUR_SESSION_STOP_H
#define FACTEUR_SESSION_STOP_H

/* From now on. in_fd must not be the descriptor that the session writes to. */
void session_stop_on_signal(int in_fd);

/* SIGTERM or SIGHUP, or 0 while none has come. */
int session_stopped(void);

#endif

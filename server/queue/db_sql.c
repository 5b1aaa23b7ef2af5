/* The statements of the queue's database. */
#include "queue/db_private.h"

#define ROW                                                                                        \
    "SELECT m.id, m.created, m.size, m.flags, m.session, m.sender, r.id, r.address, r.original,"   \
    " r.next_attempt, r.attempts, r.state, r.error, r.route, r.destination, r.warned, m.ret,"      \
    " m.envid, r.notify, r.orcpt "

const char *const queue_db_sql[STATEMENTS] = {
    [ADD_MESSAGE] = "INSERT INTO message(id, created, size, flags, session, sender, ret, envid)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [ADD_RECIPIENT] = "INSERT INTO recipient(message, address, original, next_attempt, attempts,"
                      " state, error, route, destination, notify, orcpt, sender_key)"
                      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    [WARNED] = "UPDATE recipient SET warned = 1 WHERE id = ?1",
    [DONE] = "DELETE FROM recipient WHERE id = ?1",
    [RETRY] = "UPDATE recipient SET attempts = attempts + 1, next_attempt = ?2, error = ?3"
              " WHERE id = ?1",
    [HOLD] = "UPDATE recipient SET attempts = attempts + 1, state = 1, error = ?2 WHERE id = ?1",
    [SWEEP] = "DELETE FROM message WHERE id = ?1"
              " AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ?1)",
    [UNSTICK] = "UPDATE recipient SET next_attempt = ?1 WHERE state = 0 AND next_attempt > ?2",
    [OLD] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message"
                " WHERE r.message < ?1 AND r.state = 0 LIMIT ?2",
    [GET] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message WHERE r.id = ?1",
#define AT "(?3 = '' OR destination = ?3 OR (route <> 1 AND address LIKE '%@' || ?3))"
    [PAGE] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message"
                 " WHERE r.id > ?1 AND ?2 = 0 AND " AT " ORDER BY r.id LIMIT ?4",
    [PAGE_OF] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message"
                    " WHERE r.message = ?2 AND r.id > ?1 AND " AT " ORDER BY r.id LIMIT ?4",
    [SET_HELD] = "UPDATE recipient SET state = ?2, error = iif(?2 = 1, 'held by hand', error)"
                 " WHERE id = ?1",
    [RETRY_NOW] = "UPDATE recipient SET next_attempt = ?2 WHERE id = ?1",
    [HAS] = "SELECT 1 FROM message WHERE id = ?1",
    [LAST_ID] = "SELECT max(id) FROM message",
    [TELL] = "INSERT OR REPLACE INTO told(owner, text, sender, at) VALUES(?1,?2,?3,?4)",
    [TOLD] = "SELECT count(*), count(*) FILTER (WHERE text = ?2 AND sender = ?3 AND at <= ?5)"
             " FROM told WHERE owner = ?1 AND at > ?4",
    [FORGET_TOLD] = "DELETE FROM told WHERE at <= ?1 OR at > ?2",
    [DUE] = "SELECT id FROM recipient WHERE message = ?1 AND state = 0 AND next_attempt <= ?2",
    [COUNT_MESSAGES] = "SELECT count(*), min(created) FROM message",
    [COUNT_RECIPIENTS] = "SELECT count(*),"
                         " count(*) FILTER (WHERE state = 0 AND next_attempt <= ?1),"
                         " count(*) FILTER (WHERE state = 1) FROM recipient",
    [KEEP_POLICY] = "INSERT OR REPLACE INTO sts_policy(domain, id, mode, fetched, expires, mx)"
                    " VALUES(?1,?2,?3,?4,?5,?6)",
    [END_POLICIES] = "DELETE FROM sts_policy WHERE expires <= ?1",
    [TRIM_POLICIES] = "DELETE FROM sts_policy WHERE domain IN"
                      " (SELECT domain FROM sts_policy ORDER BY expires DESC LIMIT -1 OFFSET ?1)",
    [POLICIES] = "SELECT domain, id, mode, fetched, expires, mx FROM sts_policy WHERE expires > ?1"
                 " ORDER BY expires",
#define LOCAL "state = 0 AND route <> 1"
#define REMOTE "state = 0 AND route = 1"
    [LANE] = "SELECT address, min(next_attempt) FROM recipient WHERE " LOCAL " GROUP BY address",
    [LANE_REMOTE] = "SELECT destination, min(next_attempt) FROM recipient WHERE " REMOTE
                    " GROUP BY destination",
    [NEXT] = "SELECT next_attempt FROM recipient WHERE " LOCAL " AND address = ?1"
             " AND next_attempt > ?2 ORDER BY next_attempt LIMIT 1",
    [NEXT_REMOTE] = "SELECT next_attempt FROM recipient WHERE " REMOTE " AND destination = ?1"
                    " AND next_attempt > ?2 ORDER BY next_attempt LIMIT 1",
    [SENDER] = "SELECT sender_key FROM recipient WHERE " LOCAL " AND address = ?1"
               " AND sender_key > ?2 ORDER BY sender_key LIMIT 1",
    [SENDER_REMOTE] = "SELECT sender_key FROM recipient WHERE " REMOTE " AND destination = ?1"
                      " AND sender_key > ?2 ORDER BY sender_key LIMIT 1",
    [OLDEST] = "SELECT id, message, sender_key FROM recipient WHERE " LOCAL " AND address = ?1"
               " AND next_attempt <= ?2 ORDER BY next_attempt",
    [OLDEST_REMOTE] = "SELECT id, message, sender_key FROM recipient WHERE " REMOTE
                      " AND destination = ?1 AND next_attempt <= ?2 ORDER BY next_attempt",
    [TURN] = "SELECT id, message, sender_key FROM recipient WHERE " LOCAL " AND address = ?1"
             " AND next_attempt <= ?2 AND sender_key = ?3 ORDER BY next_attempt",
    [TURN_REMOTE] = "SELECT id, message, sender_key FROM recipient WHERE " REMOTE
                    " AND destination = ?1 AND next_attempt <= ?2 AND sender_key = ?3"
                    " ORDER BY next_attempt",
    [TOGETHER] = "SELECT id FROM recipient WHERE message = ?3 AND " LOCAL " AND address = ?1"
                 " AND next_attempt <= ?2",
    [TOGETHER_REMOTE] = "SELECT id FROM recipient WHERE message = ?3 AND " REMOTE
                        " AND destination = ?1 AND next_attempt <= ?2",
};

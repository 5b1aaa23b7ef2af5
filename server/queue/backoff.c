/* Pauses. */
#include "queue/backoff.h"

int64_t queue_backoff_ms(int64_t min_s, int64_t max_s, uint32_t attempts, uint32_t random)
{
    int64_t max = (max_s < min_s ? min_s : max_s) * 1000;
    int64_t pause = min_s * 1000;
    for (uint32_t i = 1; i < attempts && pause < max; i++)
        pause *= 2;
    if (pause > max)
        pause = max;
    pause += (int64_t)(random % (uint64_t)(pause / 4 + 1)) - pause / 8;
    if (pause > max)
        pause = max;
    return pause > 0 ? pause : 1;
}
